//! `permissions`: whether everybody can read what the cache offers, and nobody what it does not.

use std::io::{self, Write};
use std::path::PathBuf;

use bf_core::permissions::{self, Problem};
use bf_core::report::{Exit, Failure, Report};
use bf_core::site;
use clap::Subcommand;
use serde::Serialize;

use crate::cli::Context;
use crate::drift;
use crate::locate;

/// The verbs of `permissions`.
#[derive(Debug, Subcommand)]
pub(crate) enum Permissions {
    /// Look at the modes of everything in the cache and of every folder above it
    Check,
}

#[derive(Debug, Serialize)]
struct Checked {
    ok: bool,
    cache: PathBuf,
    problems: Vec<Problem>,
}

impl Report for Checked {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for problem in &self.problems {
            writeln!(out, "{} ({}) {}", problem.path.display(), problem.mode, problem.message)?;
            writeln!(out, "hint: {}", problem.hint)?;
        }
        if self.ok {
            writeln!(
                out,
                "everybody can read the cache {}, and only its owner and group can change it",
                self.cache.display()
            )
        } else {
            Ok(())
        }
    }
}

impl Permissions {
    /// Runs one.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Check => {
                let layout = site::open(locate::cache(context)?.root())?;
                let declared = locate::declared_in(&layout)?;
                let closed = declared.map(|declared| drift::closed(&layout, &declared)).unwrap_or_default();
                let problems = permissions::check(&layout, &closed)?;
                let ok = problems.is_empty();
                context.printer.print(&Checked { ok, cache: layout.root().to_owned(), problems })?;
                Ok(if ok { Exit::Ok } else { Exit::Findings })
            }
        }
    }
}
