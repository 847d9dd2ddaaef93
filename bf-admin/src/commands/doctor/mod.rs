//! `doctor`: what this machine and its cluster can do for images, tried and not guessed. Each line is well, or says what to do.

mod compute;
mod here;
mod trial;

use std::io::{self, Write};

use bf_core::host;
use bf_core::report::{Exit, Failure, Report, table};
use bf_core::site::{Layout, Part, RuntimeRules};
use bf_core::slurm::Slurm;
use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::image::{Probes, Tried};
use crate::locate;
use crate::session::{self, Make};

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Try it on one node of each partition of Slurm as well
    #[arg(long)]
    compute: bool,
    /// Only in this partition; several times for several
    #[arg(long, short = 'p', value_name = "PARTITION", requires = "compute")]
    partition: Vec<String>,
    /// The account that these jobs are for, where Slurm asks for one
    #[arg(long, short = 'A', value_name = "ACCOUNT", requires = "compute")]
    account: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// It works otherwise, or could not be tried.
    Warn,
    /// Images cannot be run.
    Fail,
}

/// A line.
#[derive(Debug, Serialize)]
struct Check {
    check: String,
    state: State,
    detail: String,
    hint: Option<String>,
}

impl Check {
    fn new(check: impl Into<String>, state: State, detail: impl Into<String>) -> Self {
        Self { check: check.into(), state, detail: detail.into(), hint: None }
    }

    fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

#[derive(Debug, Serialize)]
struct Checks {
    ok: bool,
    checks: Vec<Check>,
}

impl Report for Checks {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let word = |state| match state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        };
        let rows = self.checks.iter().map(|one| {
            let hint = one.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            vec![word(one.state).to_owned(), one.check.clone(), format!("{}{hint}", one.detail)]
        });
        table(out, &["", "CHECK", "DETAIL"], rows)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        let bad = self.checks.iter().filter(|one| one.state != State::Ok);
        bad.into_iter().try_for_each(|one| writeln!(out, "{}", one.check))
    }
}

/// What is common to all tries.
struct Site {
    layout: Option<Layout>,
    runtime: RuntimeRules,
}

impl Doctor {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let site = site(context)?;
        let slurm = Slurm::find(&context.environment);
        let (mut checks, mut tried) = here::look(&site, &context.environment, slurm.is_some())?;
        if self.compute {
            let slurm = slurm.ok_or_else(|| {
                Failure::new(
                    Exit::Unreachable,
                    "slurm_not_found",
                    "there is no Slurm here: sbatch is not in PATH",
                )
                .with_hint("run it on a login node; without --compute only this machine is looked at")
            })?;
            let layout = site.layout.as_ref().ok_or_else(|| {
                let message = "no cache was named, and nodes must see the image that is tried";
                Failure::new(Exit::Usage, "cache_unnamed", message)
                    .with_hint("pass --cache-dir, set BLACKFISH_CACHE_DIR, or run this beside a site.yaml")
            })?;
            let partitions = compute::partitions(&slurm, &self.partition)?;
            let nodes =
                compute::Nodes { slurm: &slurm, account: self.account.as_deref(), runtime: &site.runtime };
            let policy = session::policy(locate::declared_in(layout)?.as_ref())?;
            let on_nodes = session::run(context, layout, Make::Itself, policy, |publisher| {
                let stage = publisher.stage(Part::Images)?;
                let trial = trial::Trial::write(&stage.path().join("probe.sif"))?;
                context.printer.progress(&format!("running a job in {}", partitions.join(", ")));
                let found = nodes.look(&trial, &partitions);
                drop(stage);
                tried.enter(before(layout).unwrap_or_default().partitions);
                tried.enter(found.tried);
                tried.runtime = tried.runtime.take().or(found.runtime);
                note(publisher, layout, &tried)?;
                Ok((found.checks, Some(format!("ok: tried {}", partitions.join(", ")))))
            })?;
            checks.extend(on_nodes);
        } else if let Some(layout) = site.layout.as_ref().filter(|layout| session::is_own(layout)) {
            // Of others nothing is written down: it is the owner's to say what his cache is for.
            let policy = session::policy(locate::declared_in(layout)?.as_ref())?;
            session::run(context, layout, Make::Itself, policy, |publisher| {
                tried.enter(before(layout).unwrap_or_default().partitions);
                note(publisher, layout, &tried)?;
                Ok(((), Some("ok: tried this machine".into())))
            })?;
        }
        let ok = checks.iter().all(|one| one.state != State::Fail);
        context.printer.print(&Checks { ok, checks })?;
        Ok(if ok { Exit::Ok } else { Exit::Findings })
    }
}

/// What was tried before. A file that cannot be believed is written anew.
fn before(layout: &Layout) -> Option<Tried> {
    Probes::load(layout).ok().flatten().and_then(|probes| probes.zstd)
}

fn note(publisher: &bf_core::publish::Publisher<'_>, layout: &Layout, tried: &Tried) -> Result<(), Failure> {
    let mut text = serde_json::to_vec_pretty(&Probes::of(tried.clone())).map_err(io::Error::from)?;
    text.push(b'\n');
    // For everybody, as all single files at the top are.
    let publisher = publisher.with(bf_core::publish::Policy { file_mode: 0o644, ..*publisher.policy() });
    Ok(publisher.file(Part::Top, &layout.probes(), &text)?)
}

/// The cache that is named, which may not be there yet, and how its site runs containers.
fn site(context: &Context) -> Result<Site, Failure> {
    let layout = match locate::cache(context) {
        Ok(layout) => Some(layout),
        Err(failure) if failure.code == "cache_unnamed" => None,
        Err(failure) => return Err(failure),
    };
    let declared = match &layout {
        Some(layout) => locate::declared_in(layout)?,
        None => None,
    };
    Ok(Site { layout, runtime: declared.map(|declared| declared.rules.runtime).unwrap_or_default() })
}

/// A record of a try on this host, now.
fn tried_here() -> Tried {
    Tried { seen_at: host::now(), host: host::name(), ..Tried::default() }
}
