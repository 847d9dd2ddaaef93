//! `model verify`: the models of the cache against site.lock and against the names of their blobs, which are hashes. Asks nobody.

use std::collections::BTreeSet;
use std::io::{self, Write};

use bf_core::host;
use bf_core::model::cache;
use bf_core::model::store::{self, BlobFault};
use bf_core::model::{Location, ModelId, Named, Root};
use bf_core::report::{Exit, Failure, Report, human_bytes, table};
use bf_core::site::{self, Layout, Locked};
use clap::Args;
use serde::Serialize;

use super::named::not_there;
use super::repair;
use crate::cli::Context;
use crate::locate;
use crate::several::at_once;
use bf_core::convert::processors;

/// Options of `model verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The models, also one revision of one as MODEL@REV [default: all]
    #[arg(value_name = "MODEL")]
    models: Vec<Named>,
    /// Read every byte
    #[arg(long)]
    full: bool,
    /// Set links and refs again, and fetch what is damaged once more, where it can be fetched
    #[arg(long)]
    repair: bool,
}

/// How a revision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be, as far as it was looked at.
    Ok,
    /// A file is missing, or has other bytes.
    Damaged,
    /// A link or a ref leads elsewhere.
    Drifted,
}

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Its path in the model; `refs/NAME` for a ref.
    pub(super) path: String,
    /// `missing`, `damaged`, `link`, `ref`.
    pub(super) code: &'static str,
    /// What, for people.
    pub(super) message: String,
}

/// One revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Checked {
    pub(super) repo: ModelId,
    /// What it was asked for as; null for `main`, and for one that site.lock does not have.
    pub(super) revision: Option<String>,
    pub(super) commit: String,
    state: State,
    /// Whether site.lock has it.
    pub(super) managed: bool,
    bytes: u64,
    pub(super) findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Models {
    ok: bool,
    full: bool,
    models: Vec<Checked>,
}

impl Report for Models {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.models.iter().map(|own| {
            let name = own.revision.as_ref().map_or(String::new(), |name| format!("@{name}"));
            let state = match own.state {
                State::Ok => "ok",
                State::Damaged => "damaged",
                State::Drifted => "drifted",
            };
            vec![
                format!("{}{name}", own.repo),
                state.to_owned(),
                own.commit.chars().take(12).collect(),
                human_bytes(own.bytes),
                if own.managed { "" } else { "not in site.lock" }.to_owned(),
            ]
        });
        table(out, &["MODEL", "STATE", "REVISION", "SIZE", ""], rows)?;
        for own in &self.models {
            for finding in &own.findings {
                writeln!(out, "{}: {}: {}", own.repo, finding.path, finding.message)?;
            }
        }
        Ok(())
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        let wrong = self.models.iter().filter(|own| own.state != State::Ok);
        wrong.into_iter().try_for_each(|own| writeln!(out, "{}", own.repo))
    }
}

impl Verify {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let layout = site::open(locate::cache(context)?.root())?;
        if self.full {
            // On a login node others want to work as well.
            host::be_nice();
        }
        let mut failures = Vec::new();
        let mut models = self.look(&layout, &Locked::load(&layout)?)?;
        if self.repair && models.iter().any(|own| !own.findings.is_empty()) {
            failures = repair::repair(context, &layout, |locked| self.look(&layout, locked))?;
            models = self.look(&layout, &Locked::load(&layout)?)?;
        }
        let ok = models.iter().all(|own| own.state == State::Ok);
        context.printer.print(&Models { ok, full: self.full, models })?;
        for failure in &failures {
            context.printer.partial_failure(failure);
        }
        Ok(if ok { Exit::Ok } else { Exit::Findings })
    }

    fn look(&self, layout: &Layout, locked: &Locked) -> Result<Vec<Checked>, Failure> {
        let mut all = Vec::new();
        for (name, commits) in self.chosen(layout, locked)? {
            let is_asked = |commit: &str| commits.as_ref().is_none_or(|own| own == commit);
            all.extend(
                of_lock(layout, locked, &name, self.full).into_iter().filter(|own| is_asked(&own.commit)),
            );
            all.extend(
                others(layout, locked, &name, self.full).into_iter().filter(|own| is_asked(&own.commit)),
            );
        }
        Ok(all)
    }

    /// The models that are named, each with the one revision that is, or all that there are.
    fn chosen(&self, layout: &Layout, locked: &Locked) -> Result<Vec<(ModelId, Option<String>)>, Failure> {
        let written = locked.models.keys().filter_map(|name| ModelId::parse_stored(name).ok());
        let there = cache::ids(&Root { path: layout.models(), location: Location::Cache }).0;
        let all: BTreeSet<ModelId> = written.chain(there).collect();
        if self.models.is_empty() {
            return Ok(all.into_iter().map(|id| (id, None)).collect());
        }
        let chosen = self.models.iter().map(|named| {
            if !all.contains(&named.repo) {
                return Err(not_there(layout, &named.repo));
            }
            let own = locked.models.get(&named.repo.to_string());
            Ok((named.repo.clone(), named.commit(layout, own)?))
        });
        chosen.collect()
    }
}

/// The revisions of a model that site.lock has.
fn of_lock(layout: &Layout, locked: &Locked, id: &ModelId, full: bool) -> Vec<Checked> {
    let Some(own) = locked.models.get(&id.to_string()) else { return Vec::new() };
    let folder = store::folder(layout, id);
    let clear = store::clear(layout, &folder);
    let check = |one: site::RevisionOf<'_>| {
        let snapshot = folder.join("snapshots").join(one.commit);
        let found = at_once(one.files, processors().get(), |file| {
            let blob = folder.join("blobs").join(file.blob_name());
            let fault = store::blob_fault(&blob, Some(file), full, &|_| ());
            let link = store::wrong_link(&snapshot, file);
            let link = link.map(|message| Finding { path: file.path.clone(), code: "link", message });
            fault.map(|fault| told(&file.path, &fault)).into_iter().chain(link).collect::<Vec<_>>()
        });
        let mut findings: Vec<Finding> = found.into_iter().flatten().collect();
        for (name, commit) in own.refs().filter(|(_, commit)| *commit == one.commit) {
            if !store::leads_to(&folder.join("refs").join(name), commit) {
                let message = "does not name the revision of site.lock".to_owned();
                findings.push(Finding { path: format!("refs/{name}"), code: "ref", message });
            }
        }
        if let Err(error) = &clear {
            findings = vec![Finding { path: String::from("."), code: "link", message: error.to_string() }];
        }
        Checked {
            repo: id.clone(),
            revision: one.name.map(str::to_owned),
            commit: one.commit.to_owned(),
            state: state(&findings),
            managed: true,
            bytes: one.files.iter().map(|file| file.bytes).sum(),
            findings,
        }
    };
    own.all().map(check).collect()
}

/// The revisions that are there and not in site.lock: that links lead to blobs, and these are what their names say.
fn others(layout: &Layout, locked: &Locked, id: &ModelId, full: bool) -> Vec<Checked> {
    let own = locked.models.get(&id.to_string());
    let root = Root { path: layout.models(), location: Location::Cache };
    let Ok(Some(repo)) = cache::repo(&root, id) else { return Vec::new() };
    let is_locked = |commit: &str| own.is_some_and(|own| own.all().any(|own| own.commit == commit));
    let check = |revision: &cache::CachedRevision| {
        let (mut findings, mut bytes) = (Vec::new(), 0);
        match repo.snapshot(revision) {
            Ok(snapshot) => {
                bytes = snapshot.files.iter().filter_map(|file| file.bytes).sum();
                let found = at_once(&snapshot.files, processors().get(), |file| {
                    let blob = fs_err::canonicalize(&file.file).unwrap_or_else(|_| file.file.clone());
                    Some(told(&file.path, &store::blob_fault(&blob, None, full, &|_| ())?))
                });
                findings.extend(found.into_iter().flatten());
            }
            Err(error) => {
                let message = error.to_string();
                findings.push(Finding { path: ".".into(), code: "missing", message });
            }
        }
        Checked {
            repo: id.clone(),
            revision: None,
            commit: revision.commit.clone(),
            state: state(&findings),
            managed: false,
            bytes,
            findings,
        }
    };
    repo.revisions.iter().filter(|revision| !is_locked(&revision.commit)).map(check).collect()
}

fn state(findings: &[Finding]) -> State {
    if findings.iter().any(|finding| matches!(finding.code, "missing" | "damaged")) {
        State::Damaged
    } else if findings.is_empty() {
        State::Ok
    } else {
        State::Drifted
    }
}

fn told(path: &str, fault: &BlobFault) -> Finding {
    let (code, message) = match fault {
        BlobFault::Missing => ("missing", "its blob is missing".to_owned()),
        BlobFault::Unreadable(why) => ("damaged", why.clone()),
        BlobFault::Length(is, was) => ("damaged", format!("it has {is} bytes instead of {was}")),
        BlobFault::Damaged => ("damaged", "its bytes are not those that its hash is of".to_owned()),
    };
    Finding { path: path.to_owned(), code, message }
}
