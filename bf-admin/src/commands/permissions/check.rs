//! `permissions check`: looks, and changes nothing.

use std::io::{self, Write};
use std::path::PathBuf;

use bf_core::permissions::{self, Problem, Viewer};
use bf_core::report::{Exit, Failure, Report};
use bf_core::site;
use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::drift;
use crate::locate;

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
    cache: PathBuf,
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    viewer: Option<String>,
    problems: Vec<Problem>,
}

impl Report for Checked {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for problem in &self.problems {
            writeln!(out, "{} ({}) {}", problem.path.display(), problem.mode, problem.message)?;
            writeln!(out, "hint: {}", problem.hint)?;
        }
        let cache = self.cache.display();
        match &self.viewer {
            _ if !self.ok => Ok(()),
            Some(user) => writeln!(out, "{user} can read the cache {cache}"),
            None => {
                writeln!(
                    out,
                    "everybody can read the cache {cache}, and only its owner and group can change it"
                )
            }
        }
    }
}

impl Check {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let layout = site::open(locate::cache(context)?.root())?;
        let declared = locate::declared_in(&layout)?;
        let closed = declared.map(|declared| drift::closed(&layout, &declared)).unwrap_or_default();
        let problems = match &self.viewer {
            None => permissions::check(&layout, &closed)?,
            Some(name) => {
                let unknown = || {
                    let message = format!("there is no user {name} on this machine");
                    Failure::new(Exit::NotFound, "user_not_found", message)
                        .with_hint("`getent passwd` lists the users")
                };
                let viewer = Viewer::named(name)?.ok_or_else(unknown)?;
                permissions::check_as(&layout, &closed, &viewer)?
            }
        };
        let ok = problems.is_empty();
        let cache = layout.root().to_owned();
        context.printer.print(&Checked { ok, cache, viewer: self.viewer.clone(), problems })?;
        Ok(if ok { Exit::Ok } else { Exit::Findings })
    }
}
