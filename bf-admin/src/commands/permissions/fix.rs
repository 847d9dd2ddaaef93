//! `permissions fix`: sets modes, owners and groups in the cache. What is above it, and links, are shown.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use bf_core::permissions::{self, Problem};
use bf_core::publish::{Access, Policy};
use bf_core::report::{Exit, Failure, Report};
use bf_core::site::{self, Declared, Layout, Locked};
use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::drift::{self, Mend};
use crate::session::{self, Make};
use crate::{locate, printer};

/// Options of `permissions fix`.
#[derive(Debug, Args)]
pub(crate) struct Fix {
    /// Say what would be set, touch nothing
    #[arg(long)]
    dry_run: bool,
}

/// One path that is set, or would be.
#[derive(Debug, Serialize)]
struct Set {
    path: PathBuf,
    message: String,
    #[serde(skip)]
    access: Access,
}

#[derive(Debug, Serialize)]
struct Fixed {
    dry_run: bool,
    changed: usize,
    cache: PathBuf,
    fixed: Vec<Set>,
    /// What is not ours to set.
    left: Vec<Problem>,
}

impl Report for Fixed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for set in &self.fixed {
            writeln!(out, "{} {}", set.path.display(), set.message)?;
        }
        match (self.changed, self.dry_run) {
            (0, _) => writeln!(out, "nothing to do"),
            (1, false) => writeln!(out, "1 path was set"),
            (1, true) => writeln!(out, "1 path to be set"),
            (changed, false) => writeln!(out, "{changed} paths were set"),
            (changed, true) => writeln!(out, "{changed} paths to be set"),
        }
    }
}

impl Fix {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let layout = site::open(locate::cache(context)?.root())?;
        let declared = locate::declared_in(&layout)?;
        let policy = session::policy(declared.as_ref())?;
        let declared = declared.unwrap_or_else(|| Declared::nothing(layout.site_yaml(), layout.root()));
        let fixed = if self.dry_run {
            session::writable(&layout, Make::Itself)?;
            found(&layout, &declared, policy, true)?
        } else {
            session::run(context, &layout, Make::Itself, policy, |publisher| {
                let fixed = found(&layout, &declared, policy, false)?;
                for set in &fixed.fixed {
                    publisher.repair(&set.path, set.access)?;
                }
                let line = (fixed.changed > 0).then(|| format!("ok: {} paths set", fixed.changed));
                Ok((fixed, line))
            })?
        };
        context.printer.print(&fixed)?;
        for problem in &fixed.left {
            let message = format!("{} {}", problem.path.display(), problem.message);
            printer::warning(&message, Some(&problem.hint));
        }
        Ok(if fixed.left.is_empty() { Exit::Ok } else { Exit::Findings })
    }
}

/// What of the managed things is not as it was published, and what of all others is not as everybody needs it.
fn found(layout: &Layout, declared: &Declared, policy: Policy, dry_run: bool) -> Result<Fixed, Failure> {
    let locked = Locked::load(layout)?;
    let mut fixed: Vec<Set> = Vec::new();
    for fault in
        drift::gather(layout, declared, &locked, policy, &[])?.into_iter().flat_map(|drift| drift.faults)
    {
        if let Mend::Access(path, access) = fault.mend {
            fixed.push(Set { path, message: fault.what, access });
        }
    }
    let told: BTreeSet<PathBuf> = fixed.iter().map(|set| set.path.clone()).collect();
    let problems = permissions::check(layout, &drift::closed(layout, declared))?;
    let (others, left): (Vec<Problem>, Vec<Problem>) = problems
        .into_iter()
        .filter(|problem| !told.contains(&problem.path))
        .partition(|problem| !problem.mend.is_empty());
    fixed.extend(others.into_iter().map(|problem| Set {
        path: problem.path,
        message: format!("({}) {}", problem.mode, problem.message),
        access: problem.mend,
    }));
    Ok(Fixed { dry_run, changed: fixed.len(), cache: layout.root().to_owned(), fixed, left })
}
