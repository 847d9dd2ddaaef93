//! `status`: what is declared against what is there. Needs no lock and writes nothing.

use std::num::NonZeroUsize;

use bf_core::report::{Exit, Failure};
use bf_core::site::Locked;
use clap::Args;

use crate::cli::Context;
use crate::present::{self, Depth};
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
    /// With --full, how many files are read at a time [default: one for each core]
    #[arg(long, value_name = "N", requires = "full")]
    threads: Option<NonZeroUsize>,
}

impl Status {
    /// Compares and says what differs.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let depth = if self.full && !self.quick { Depth::Full } else { Depth::Quick };
        let site = locate::site_or_lock(context)?;
        if depth == Depth::Full {
            present::ahead::read(&site.layout, &Locked::load(&site.layout)?, self.threads);
        }
        let status = status::of(&site, &context.program, depth)?;
        context.printer.print(&status)?;
        Ok(if status.in_sync() { Exit::Ok } else { Exit::Findings })
    }
}
