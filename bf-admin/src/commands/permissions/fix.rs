//! `permissions fix`: sets modes, owners and groups in the cache. What is above it, and links, are shown.

use std::io::{self, Write};
use std::path::PathBuf;

use bf_core::permissions::Problem;
use bf_core::publish::Access;
use bf_core::report::{Exit, Failure, Report};
use bf_core::site::{self, Declared, Layout, Locked};
use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::drift::{self, Closed};
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
    /// What nobody declares and is closed.
    #[serde(skip)]
    stay: Vec<Closed>,
}

impl Report for Fixed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for set in &self.fixed {
            writeln!(out, "{} {}", set.path.display(), set.message)?;
        }
        for (name, stays) in self.stay.iter().filter_map(|closed| Some((&closed.name, closed.stays()?))) {
            writeln!(out, "{name} {stays}")?;
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
            found(&layout, &declared, true)?
        } else {
            session::run(context, &layout, Make::Itself, policy, |publisher| {
                let fixed = found(&layout, &declared, false)?;
                for set in &fixed.fixed {
                    publisher.repair(&set.path, set.access)?;
                }
                let line = (fixed.changed > 0).then(|| format!("ok: {} paths set", fixed.changed));
                Ok((fixed, line))
            })?
        };
        context.printer.print(&fixed)?;
        for group in drift::grouped(&layout, &fixed.left) {
            let message = format!("{} {}", group.first.path.display(), group.message());
            printer::warning(&message, Some(&group.hint()));
        }
        Ok(if fixed.left.is_empty() { Exit::Ok } else { Exit::Findings })
    }
}

/// What of the managed things is not as it was published, and what of all others is not as everybody needs it.
fn found(layout: &Layout, declared: &Declared, dry_run: bool) -> Result<Fixed, Failure> {
    let found = drift::audit(layout, declared, &Locked::load(layout)?)?;
    let (ours, left): (Vec<Problem>, Vec<Problem>) =
        found.problems.into_iter().partition(|problem| !problem.mend.is_empty());
    let fixed: Vec<Set> = ours
        .into_iter()
        .map(|problem| Set {
            message: format!("({}) {}", problem.mode, problem.message),
            path: problem.path,
            access: problem.mend,
        })
        .collect();
    session::may_give(layout, &fixed.iter().filter_map(|set| set.access.group).collect())?;
    let stay = found.closed.into_iter().filter(|closed| closed.stays().is_some()).collect();
    Ok(Fixed { dry_run, changed: fixed.len(), cache: layout.root().to_owned(), fixed, left, stay })
}
