//! `permissions fix`: sets modes, owners and groups in the cache. What is above it, and links, are shown.

use std::io::{self, Write};
use std::path::PathBuf;

use bf_core::permissions::Problem;
use bf_core::publish::{Access, Policy, Publisher};
use bf_core::report::{Exit, Failure, Report};
use bf_core::site::{self, Declared, Layout};
use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::drift::{self, Closed};
use crate::locate::{self, Own};
use crate::printer;
use crate::session::{self, Make};

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
    #[serde(serialize_with = "bf_core::report::lossy::path")]
    path: PathBuf,
    message: String,
    #[serde(skip)]
    access: Access,
}

/// One path that could not be set, and why.
#[derive(Debug, Serialize)]
struct Failed {
    #[serde(serialize_with = "bf_core::report::lossy::path")]
    path: PathBuf,
    code: &'static str,
    message: String,
    hint: Option<String>,
    #[serde(skip)]
    failure: Failure,
}

#[derive(Debug, Serialize)]
struct Fixed {
    dry_run: bool,
    changed: usize,
    #[serde(serialize_with = "bf_core::report::lossy::path")]
    cache: PathBuf,
    fixed: Vec<Set>,
    /// What could not be set.
    failed: Vec<Failed>,
    /// What is not ours to set.
    left: Vec<Problem>,
    /// What nobody declares and is closed.
    #[serde(skip)]
    stay: Vec<Closed>,
    /// Whether nobody knows who wrote down what is in the cache, so that nothing else was looked at.
    #[serde(skip)]
    in_doubt: bool,
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
            (0, _) if !self.failed.is_empty() => writeln!(out, "nothing was set"),
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
        let (policy, own) = match locate::own(&layout)? {
            Own::Believed(both) => (session::policy(both.0.as_ref())?, both.0),
            Own::Doubtful(failure) => {
                let hint = "only its own mode is set, and nothing that it says is followed; look at what is in it, and run this again";
                printer::warning(&failure.message, Some(hint));
                (Policy::default(), None)
            }
        };
        let declared = own.unwrap_or_else(|| Declared::nothing(layout.site_yaml(), layout.root()));
        let fixed = if self.dry_run {
            session::writable(&layout, Make::Itself)?;
            found(&layout, &declared, true)?
        } else {
            session::run(context, &layout, Make::Itself, policy, |publisher| {
                let fixed = set(publisher, found(&layout, &declared, false)?)?;
                let line = match (fixed.changed, fixed.failed.len()) {
                    (0, 0) => None,
                    (set, 0) => Some(format!("ok: {set} paths set")),
                    (set, failed) => Some(format!("failed: {failed} paths were not set; {set} were")),
                };
                Ok((fixed, line))
            })?
        };
        context.printer.print(&fixed)?;
        for failed in &fixed.failed {
            context.printer.partial_failure(&failed.failure);
        }
        for group in drift::grouped(&layout, &fixed.left) {
            let message = format!("{} {}", group.first.path.display(), group.message());
            printer::warning(&message, Some(&group.hint()));
        }
        Ok(match (fixed.failed.is_empty(), fixed.left.is_empty() && !fixed.in_doubt) {
            (false, _) => Exit::Failed,
            (true, false) => Exit::Findings,
            (true, true) => Exit::Ok,
        })
    }
}

/// Sets one path after the other. What cannot be set keeps nothing else from being set; who has lost the cache ends.
fn set(publisher: &Publisher<'_>, mut fixed: Fixed) -> Result<Fixed, Failure> {
    let mut done = Vec::new();
    for one in std::mem::take(&mut fixed.fixed) {
        match drift::set(publisher, &one.path, one.access) {
            Ok(()) => done.push(one),
            Err(failure) if failure.exit == Exit::Busy => return Err(failure),
            Err(failure) => fixed.failed.push(Failed {
                path: one.path,
                code: failure.code,
                message: failure.message.clone(),
                hint: failure.hint.clone(),
                failure,
            }),
        }
    }
    Ok(Fixed { changed: done.len(), fixed: done, ..fixed })
}

/// What of the managed things is not as it was published, and what of all others is not as everybody needs it. Where nobody knows who
/// wrote down what was published, only that is closed.
fn found(layout: &Layout, declared: &Declared, dry_run: bool) -> Result<Fixed, Failure> {
    let (problems, closed, in_doubt) = match locate::own(layout)? {
        Own::Believed(both) => {
            let found = drift::audit(layout, declared, &both.1)?;
            (found.problems, found.closed, false)
        }
        Own::Doubtful(_) => {
            let mut problems = drift::in_doubt(layout)?;
            problems.retain(|problem| [layout.site_yaml(), layout.site_lock()].contains(&problem.path));
            (problems, Vec::new(), true)
        }
    };
    let (ours, left): (Vec<Problem>, Vec<Problem>) =
        problems.into_iter().partition(|problem| !problem.mend.is_empty());
    let fixed: Vec<Set> = ours
        .into_iter()
        .map(|problem| Set {
            message: format!("({}) {}", problem.mode, problem.message),
            path: problem.path,
            access: problem.mend,
        })
        .collect();
    session::may_give(layout, &fixed.iter().filter_map(|set| set.access.group).collect())?;
    let stay = closed.into_iter().filter(|closed| closed.stays().is_some()).collect();
    let (changed, cache) = (fixed.len(), layout.root().to_owned());
    Ok(Fixed { dry_run, changed, cache, fixed, failed: Vec::new(), left, stay, in_doubt })
}
