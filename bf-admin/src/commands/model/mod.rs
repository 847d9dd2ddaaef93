//! `model`: the models of the cache.

mod import;
mod ls;

use bf_core::report::{Exit, Failure};
use clap::Subcommand;

use crate::cli::Context;

/// The verbs of `model`.
#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// Copy a model from files of this machine into the cache
    Import(import::Import),
    /// List the models of the cache
    Ls,
}

impl Model {
    /// Runs one.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Import(import) => import.run(context),
            Self::Ls => ls::run(context),
        }
    }
}
