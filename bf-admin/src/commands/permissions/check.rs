//! `permissions check`: looks, and changes nothing.

use std::io::{self, Write};
use std::path::PathBuf;

use bf_core::permissions::{self, Problem, Viewer};
use bf_core::report::{Exit, Failure, Report};
use bf_core::site::{self, Declared, Layout, Locked};
use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::drift::{self, Aim, Closed};
use crate::locate::{self, Own};
use crate::printer;

/// Options of `permissions check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// What this user can read, with all his groups and ACLs
    #[arg(long = "as", value_name = "USER")]
    viewer: Option<String>,
}

#[derive(Debug, Serialize)]
struct Checked {
    ok: bool,
    #[serde(serialize_with = "bf_core::report::lossy::path")]
    cache: PathBuf,
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    viewer: Option<String>,
    problems: Vec<Problem>,
    /// The models that are not for everybody; with `--as` those that he cannot read.
    closed: Vec<Closed>,
}

impl Report for Checked {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut hints: Vec<String> = Vec::new();
        for group in drift::grouped(&Layout::new(&self.cache), &self.problems) {
            let (path, mode) = (group.first.path.display(), &group.first.mode);
            writeln!(out, "{path} ({mode}) {}", group.message())?;
            if !hints.contains(&group.hint()) {
                hints.push(group.hint());
            }
        }
        hints.iter().try_for_each(|hint| writeln!(out, "hint: {hint}"))?;
        for (name, stays) in self.closed.iter().filter_map(|closed| Some((&closed.name, closed.stays()?))) {
            writeln!(out, "{name} {stays}")?;
        }
        let cache = self.cache.display();
        match &self.viewer {
            _ if !self.ok => Ok(()),
            Some(user) if self.closed.is_empty() => writeln!(out, "{user} can read the cache {cache}"),
            Some(user) => {
                let closed: Vec<String> =
                    self.closed.iter().map(|closed| format!("{} ({})", closed.name, closed.why())).collect();
                writeln!(out, "{user} can read the cache {cache}, but not: {}", closed.join(", "))
            }
            None => {
                let but = match (self.closed.len(), self.closed.iter().all(|closed| closed.group.is_some())) {
                    (0, _) => String::new(),
                    (1, true) => " but for 1 model that is for a group".into(),
                    (number, true) => format!(" but for {number} models that are for groups"),
                    (1, false) => " but for 1 model that is closed".into(),
                    (number, false) => format!(" but for {number} models that are closed"),
                };
                writeln!(
                    out,
                    "everybody can read the cache {cache}{but}, and only its owner and group can change it"
                )
            }
        }
    }
}

impl Check {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let layout = site::open(locate::cache(context)?.root())?;
        let nothing = || Declared::nothing(layout.site_yaml(), layout.root());
        let (declared, locked, is_believed) = match locate::own(&layout)? {
            Own::Believed(both) => (both.0.unwrap_or_else(nothing), both.1, true),
            Own::Doubtful(failure) => {
                printer::warning(
                    &failure.message,
                    Some("what it says is not followed: whom models are for is not looked at"),
                );
                (nothing(), Locked::default(), false)
            }
        };
        let (problems, closed) = match &self.viewer {
            None if !is_believed => (drift::in_doubt(&layout)?, Vec::new()),
            None => {
                let found = drift::audit(&layout, &declared, &locked)?;
                (found.problems, found.closed)
            }
            Some(name) => {
                let unknown = || {
                    let message = format!("there is no user {name} on this machine");
                    Failure::new(Exit::NotFound, "user_not_found", message)
                        .with_hint("`getent passwd` lists the users")
                };
                let viewer = Viewer::named(name)?.ok_or_else(unknown)?;
                let (offer, mut closed) = drift::offer(&layout, &declared, &locked, Aim::Published);
                closed.retain(|closed| {
                    fs_err::metadata(&closed.path)
                        .is_ok_and(|metadata| !viewer.may_read(&closed.path, &metadata))
                });
                let mut problems = permissions::check_as(&layout, &offer, &viewer)?;
                // Told once.
                problems.retain(|problem| closed.iter().all(|closed| closed.path != problem.path));
                (problems, closed)
            }
        };
        let ok = problems.is_empty();
        let cache = layout.root().to_owned();
        context.printer.print(&Checked { ok, cache, viewer: self.viewer.clone(), problems, closed })?;
        Ok(if ok { Exit::Ok } else { Exit::Findings })
    }
}
