//! `status`: what is declared against what is there. Needs no lock and writes nothing.

use bf_core::report::{Exit, Failure};
use clap::Args;

use crate::cli::Context;
use crate::present::Depth;
use crate::{locate, status};

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Compare sizes, links and modes; the default
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Compare the SHA-256 of every file in site.lock as well
    #[arg(long)]
    full: bool,
}

impl Status {
    /// Compares and says what differs.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let depth = if self.full && !self.quick { Depth::Full } else { Depth::Quick };
        let site = locate::site_or_lock(context)?;
        let status = status::of(&site, &context.program, depth)?;
        context.printer.print(&status)?;
        Ok(if status.in_sync() { Exit::Ok } else { Exit::Findings })
    }
}
