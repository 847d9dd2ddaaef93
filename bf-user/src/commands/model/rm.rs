//! `bf-user model rm`

use std::io::{self, Write};

use bf_core::model::Named;
use bf_core::report::{Exit, Failure, Report};
use bf_core::settings::Settings;
use clap::Args;
use serde::Serialize;

use crate::models;
use crate::printer::Printer;

#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Models, as ORG/NAME, or revisions of them, as ORG/NAME@REVISION
    #[arg(value_name = "MODEL", required = true)]
    models: Vec<Named>,
}

#[derive(Debug, Serialize)]
struct Removed {
    removed: Vec<models::Removed>,
}

impl Report for Removed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.removed.iter().try_for_each(|gone| match &gone.commit {
            Some(commit) => writeln!(out, "removed {} at {commit}", gone.repo),
            None => writeln!(out, "removed {}", gone.repo),
        })
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.removed.iter().try_for_each(|gone| writeln!(out, "{}", gone.repo))
    }
}

pub(super) fn run(args: &RmArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let removed = models::remove(&settings.home_dir, &args.models, printer)?;
    printer.report(&Removed { removed })?;
    Ok(Exit::Ok)
}
