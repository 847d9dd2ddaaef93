//! `model`: the models of the cache.

mod add;
mod import;
mod ls;
mod named;
mod prune;
mod repair;
mod rm;
mod verify;

use bf_core::report::{Exit, Failure};
use clap::Subcommand;

use crate::cli::Context;

/// The verbs of `model`.
#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// Fetch models of the Hub into the cache
    Add(add::Add),
    /// Bring a model from files of this machine into the cache
    Import(import::Import),
    /// List the models of the cache
    Ls,
    /// Compare models with what site.lock says of them, and with the hashes that their files are called by
    Verify(verify::Verify),
    /// Remove models, or revisions of them, that no job uses
    Rm(rm::Rm),
    /// Remove replaced revisions, files that no revision needs, and downloads that were given up
    Prune(prune::Prune),
}

impl Model {
    /// Runs one.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Add(add) => add.run(context),
            Self::Import(import) => import.run(context),
            Self::Ls => ls::run(context),
            Self::Verify(verify) => verify.run(context),
            Self::Rm(rm) => rm.run(context),
            Self::Prune(prune) => prune.run(context),
        }
    }
}
