//! `bf-user ls`

use std::io::{self, Write};

use bf_core::report::{Exit, Failure, Report, table};
use bf_core::settings::Settings;
use clap::Args;
use serde::Serialize;

use super::block_on;
use crate::printer::Printer;
use crate::status::{Scene, Status};
use crate::store::Store;
use crate::view::ServiceView;

/// Seconds for which an ended service is shown.
const RECENT: i64 = 24 * 3600;

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Also those that ended longer ago than a day
    #[arg(short, long)]
    all: bool,
}

#[derive(Serialize)]
struct Services {
    services: Vec<ServiceView>,
}

impl Report for Services {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.services.is_empty() {
            return writeln!(out, "no services");
        }
        let dash = || "-".to_owned();
        let rows = self.services.iter().map(|service| {
            vec![
                service.short_id().to_owned(),
                service.name.clone(),
                service.model.clone(),
                service.status.name().to_owned(),
                service.tier_label().unwrap_or_else(dash),
                service.live_node().map_or_else(dash, str::to_owned),
                service.time_left().unwrap_or_else(dash),
                service.reason.clone().unwrap_or_default(),
            ]
        });
        table(out, &["ID", "NAME", "MODEL", "STATUS", "TIER", "NODE", "LEFT", "REASON"], rows)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.services.iter().try_for_each(|service| writeln!(out, "{}", service.id))
    }
}

pub(crate) fn run(args: &LsArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let store = Store::open(&settings.home_dir)?;
    let scene = Scene::of(&settings.home_dir);
    let records = store.all()?;
    let seen = block_on(ServiceView::of_all(records, &store, &scene))?;
    let shown = |(view, status): (ServiceView, Status)| {
        let ended = status.end.as_ref().map_or(view.created_at(), |end| end.ended_at.as_str());
        (args.all || status.state.is_live() || is_recent(ended)).then_some(view)
    };
    let services = seen.into_iter().filter_map(shown).collect();
    printer.report(&Services { services })?;
    Ok(Exit::Ok)
}

/// Whether a time is less than a day ago. One that is not understood is shown.
fn is_recent(time: &str) -> bool {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => jiff::Timestamp::now().duration_since(time).as_secs() < RECENT,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_recent() {
        assert!(is_recent(&bf_core::host::now()));
        assert!(is_recent("nonsense"));
        assert!(!is_recent("2020-01-01T00:00:00Z"));
    }
}
