//! `status`: what is declared against what is there. Needs no lock and writes nothing but the journal of a check of every byte.

use std::num::NonZeroUsize;

use bf_core::report::{Exit, Failure};
use bf_core::site::Locked;
use clap::Args;

use crate::cli::Context;
use crate::present::ahead::{self, Reading};
use crate::present::{Depth, Journal};
use crate::{locate, session, status};

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Compare sizes, links and modes; the default
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Compare the SHA-256 of every file in site.lock as well, offline and with little priority
    ///
    /// Compare the SHA-256 of every file in site.lock as well, offline and with little priority. What was read and found right is noted in
    /// the cache, if you may write there: when this is interrupted, by whatever, the next one reads only the rest, and what has changed
    /// since. When it ends it forgets that, so that the next one reads everything again.
    #[arg(long)]
    full: bool,
    /// With --full, how many files are read at a time [default: one for each core]
    #[arg(long, value_name = "N", requires = "full", value_parser = threads)]
    threads: Option<NonZeroUsize>,
}

fn threads(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "a whole number is needed, 1 or more")
}

impl Status {
    /// Compares and says what differs.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let depth = if self.full && !self.quick { Depth::Full } else { Depth::Quick };
        let site = locate::site_or_lock(context)?;
        session::warn_of_place(&site.layout);
        let journal = if depth == Depth::Full {
            let files = ahead::files(&site.layout, &Locked::load(&site.layout)?, |_, _| true);
            let resume = Some(&site.layout);
            ahead::read(files, &Reading { threads: self.threads, resume, printer: context.printer })
        } else {
            None
        };
        let status = status::of(&site, &context.program, depth)?;
        context.printer.print(&status)?;
        // Only what was told is done.
        journal.map_or(Ok(()), Journal::finish)?;
        Ok(if status.in_sync() { Exit::Ok } else { Exit::Findings })
    }
}
