//! `permissions`: whether everybody can read what the cache offers, and nobody what it does not.

mod check;
mod fix;

use bf_core::report::{Exit, Failure};
use clap::Subcommand;

use crate::cli::Context;

/// The verbs of `permissions`.
#[derive(Debug, Subcommand)]
pub(crate) enum Permissions {
    /// Look at the modes of everything in the cache and of every folder above it
    Check(check::Check),
    /// Set modes, owners and groups in the cache, and nothing above it
    Fix(fix::Fix),
}

impl Permissions {
    /// Runs one.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Check(check) => check.run(context),
            Self::Fix(fix) => fix.run(context),
        }
    }
}
