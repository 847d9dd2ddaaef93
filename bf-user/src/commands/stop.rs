//! `bf-user stop`

use std::io::{self, Write};

use bf_core::report::{Exit, Failure, Report};
use bf_core::settings::Settings;
use clap::Args;
use serde::Serialize;

use super::block_on;
use crate::launch;
use crate::printer::Printer;
use crate::status::Scene;
use crate::store::Store;
use crate::view::ServiceView;

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Id of the service, its beginning, or the name
    id: String,
}

#[derive(Serialize)]
struct Stopped {
    /// Whether there was something to stop.
    changed: bool,
    #[serde(flatten)]
    service: ServiceView,
}

impl Report for Stopped {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let service = &self.service;
        if self.changed {
            writeln!(out, "stopped {}", service.name)
        } else {
            writeln!(out, "{} had ended: {}", service.name, service.status.name())
        }
    }
}

pub(crate) fn run(args: &StopArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let store = Store::open(&settings.home_dir)?;
    let record = store.find(&args.id)?;
    let scene = Scene::of(&settings.home_dir);
    let changed = block_on(launch::stop(&record, &scene))?;
    let scene = scene.anew();
    let (service, status) = block_on(ServiceView::of(record, &store, &scene, false))?;
    if status.state.is_live() {
        let message = format!("{} is still {}", service.name, service.status.name());
        return Err(
            Failure::new(Exit::Failed, "not_stopped", message).with_hint("`bf-user details` tells more")
        );
    }
    printer.report(&Stopped { changed, service })?;
    Ok(Exit::Ok)
}
