//! `bf-user rm`

use std::io::{self, Write};

use bf_core::report::{Exit, Failure, Report};
use bf_core::settings::Settings;
use bf_core::slurm::JobState;
use clap::Args;
use serde::Serialize;

use super::block_on;
use crate::job::{JobDir, Scheduler};
use crate::launch;
use crate::printer::Printer;
use crate::status::Scene;
use crate::store::{Record, Store};
use crate::view::ServiceView;

#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Ids of services, their beginnings, or names
    ids: Vec<String>,
    /// All services that have ended
    #[arg(long, conflicts_with = "ids")]
    inactive: bool,
}

#[derive(Serialize)]
struct Removed {
    removed: Vec<String>,
}

impl Report for Removed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "removed {} service{}",
            self.removed.len(),
            if self.removed.len() == 1 { "" } else { "s" }
        )
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.removed.iter().try_for_each(|id| writeln!(out, "{id}"))
    }
}

/// Refuses what Slurm still has in its queue, whatever was written down about its end: nobody could stop it afterwards.
fn in_queue(record: &Record, view: &ServiceView, scene: &Scene) -> Result<(), Failure> {
    if record.scheduler != Scheduler::Slurm.name() {
        return Ok(());
    }
    // A job that ends is no reason, and a Slurm that does not answer is none either: its services ended by their own word.
    let Ok(Some(job)) = block_on(scene.job_of(record)) else { return Ok(()) };
    if job.state == JobState::Completing {
        return Ok(());
    }
    let message =
        format!("{} ended, but Slurm has its job {} in the queue ({})", view.name, job.id, job.state);
    Err(Failure::new(Exit::Busy, "service_live", message)
        .with_hint(format!("end it first: bf-user stop {}", view.short_id())))
}

pub(crate) fn run(args: &RmArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let store = Store::open(&settings.home_dir)?;
    let scene = Scene::of(&settings.home_dir);
    if args.ids.is_empty() && !args.inactive {
        return Err(Failure::new(Exit::Usage, "nothing_named", "no service was named")
            .with_hint("name one, or remove all that have ended with --inactive"));
    }
    let wanted: Vec<Record> = if args.inactive {
        store.all()?
    } else {
        args.ids.iter().map(|id| store.find(id)).collect::<Result<_, _>>()?
    };
    let mut ended = Vec::new();
    for record in wanted {
        let (view, status) = block_on(ServiceView::of(record.clone(), &store, &scene, false))?;
        if !status.state.is_live() {
            in_queue(&record, &view, &scene)?;
            ended.push(record);
        } else if !args.inactive {
            // Before anything was removed: all or nothing.
            let message = format!("{} is {}", view.name, view.status.name());
            return Err(Failure::new(Exit::Busy, "service_live", message)
                .with_hint(format!("stop it first: bf-user stop {}", view.short_id())));
        }
    }
    let mut removed = Vec::new();
    for record in ended {
        let dir = JobDir::of(record.home_dir.as_ref(), &record.id);
        launch::remove_left(&dir)?;
        match fs_err::remove_dir_all(dir.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
        store.delete(&record.id)?;
        removed.push(record.id);
    }
    printer.report(&Removed { removed })?;
    Ok(Exit::Ok)
}
