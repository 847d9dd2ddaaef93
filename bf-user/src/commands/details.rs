//! `bf-user details`

use std::io::{self, Write};
use std::path::PathBuf;

use bf_core::report::{Exit, Failure, Report};
use bf_core::settings::Settings;
use clap::Args;
use serde::Serialize;

use super::block_on;
use crate::job::{End, JobDir, PhaseTime, Requests};
use crate::printer::Printer;
use crate::status::Scene;
use crate::store::Store;
use crate::view::ServiceView;

#[derive(Debug, Args)]
pub(crate) struct DetailsArgs {
    /// Id of the service, its beginning, or the name
    id: String,
}

#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    service: ServiceView,
    job_dir: PathBuf,
    phases: Vec<PhaseTime>,
    requests: Option<Requests>,
    end: Option<End>,
}

impl Report for Details {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let service = &self.service;
        let mut line = |name: &str, value: &str| writeln!(out, "{name:<10}{value}");
        line("id", &service.id)?;
        line("name", &service.name)?;
        line("status", service.status.name())?;
        let reason = service.reason.as_deref().map(|reason| ("reason", reason));
        let hint = service.hint.as_deref().map(|hint| ("hint", hint));
        for (name, text) in reason.into_iter().chain(hint) {
            line(name, text)?;
        }
        for (name, text) in service.facts() {
            line(name, &text)?;
        }
        line("job dir", &self.job_dir.display().to_string())?;
        for phase in &self.phases {
            line("phase", &format!("{} took {:.1} s", phase.name.name(), phase.seconds))?;
        }
        if let Some(requests) = &self.requests {
            line("requests", &format!("{} ({} in flight)", requests.total, requests.in_flight))?;
        }
        if let Some(end) = &self.end {
            line("ended", &end.ended_at)?;
            for line in &end.last_lines {
                writeln!(out, "  | {line}")?;
            }
        }
        Ok(())
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.service.status.name())
    }
}

pub(crate) fn run(args: &DetailsArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let store = Store::open(&settings.home_dir)?;
    let record = store.find(&args.id)?;
    let dir = JobDir::of(record.home_dir.as_ref(), &record.id);
    let scene = Scene::of(&settings.home_dir);
    let (service, status) = block_on(ServiceView::of(record, &store, &scene, true))?;
    let heartbeat = match status.heartbeat {
        Some(heartbeat) => Some(heartbeat),
        None => dir.state()?, // the last one of a service that ended
    };
    let details = Details {
        service,
        job_dir: dir.path().to_owned(),
        phases: heartbeat.as_ref().map(|heartbeat| heartbeat.phases.clone()).unwrap_or_default(),
        requests: heartbeat.map(|heartbeat| heartbeat.requests),
        end: status.end,
    };
    printer.report(&details)?;
    Ok(Exit::Ok)
}
