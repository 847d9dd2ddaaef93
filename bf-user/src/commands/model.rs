//! `bf-user model`: the models of the shared cache, and those of one's own.

mod add;
mod ls;
mod rm;

use bf_core::report::{Exit, Failure};
use bf_core::settings::Settings;
use clap::Subcommand;

use crate::printer::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Fetch a model from the Hub into your own folder
    Add(Box<add::AddArgs>),
    /// List the models in the shared cache and in your own folder
    Ls,
    /// Remove models from your own folder
    Rm(rm::RmArgs),
}

pub(crate) fn run(command: ModelCommand, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    match command {
        ModelCommand::Add(args) => add::run(*args, settings, printer),
        ModelCommand::Ls => ls::run(settings, printer),
        ModelCommand::Rm(args) => rm::run(&args, settings, printer),
    }
}
