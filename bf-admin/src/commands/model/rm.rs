//! `model rm`: a model, or one of its revisions, goes away with its files. What jobs use stays.

use std::collections::BTreeSet;
use std::io::{self, Write};

use bf_core::model::ModelId;
use bf_core::model::Named;
use bf_core::model::store;
use bf_core::publish::Publisher;
use bf_core::report::{Exit, Failure, Report, human_bytes};
use bf_core::site::{Declared, Layout, Locked, LockedModel, Part};
use clap::Args;
use serde::Serialize;

use super::named::not_there;
use crate::apply;
use crate::cli::Context;
use crate::{image, in_use, printer, removal};

/// Options of `model rm`.
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// The models, or one revision of one as MODEL@REV
    #[arg(value_name = "MODEL[@REV]", required = true)]
    models: Vec<Named>,
    /// Also what jobs use, or when it cannot be known what they use
    #[arg(long)]
    force: bool,
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Removed {
    dry_run: bool,
    /// Bytes of what was removed, or would be.
    freed: u64,
    removed: Vec<Gone>,
}

#[derive(Debug, Serialize)]
struct Gone {
    repo: ModelId,
    /// The name of the one revision that is kept beside the one that users get.
    revision: Option<String>,
    /// The commit of the one revision; null for the whole model.
    commit: Option<String>,
    bytes: u64,
}

impl Report for Removed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would be removed" } else { "removed" };
        for gone in &self.removed {
            let which = gone.revision.as_ref().or(gone.commit.as_ref());
            let which = which.map(|which| format!("@{which}")).unwrap_or_default();
            writeln!(out, "{}{which}: {verb} ({})", gone.repo, human_bytes(gone.bytes))?;
        }
        Ok(())
    }
}

impl Rm {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let find = |layout: &Layout, locked: &Locked, declared: Option<&Declared>| {
            self.found(context, layout, locked, declared)
        };
        removal::run(context, self.dry_run, find, |publisher, locked, removed| {
            for gone in &removed.removed {
                remove(publisher, locked, gone)?;
            }
            apply::keep_catalog(publisher, locked, true)?;
            let names: Vec<String> = removed.removed.iter().map(|gone| gone.repo.to_string()).collect();
            Ok(Some(format!("ok: removed {}, {} bytes", names.join(", "), removed.freed)))
        })
    }

    /// All of them, or why one cannot go.
    fn found(
        &self,
        context: &Context,
        layout: &Layout,
        locked: &Locked,
        declared: Option<&Declared>,
    ) -> Result<Removed, Failure> {
        let mut removed: Vec<Gone> = Vec::new();
        for named in &self.models {
            let own = locked.models.get(&named.repo.to_string());
            let folder = store::folder(layout, &named.repo);
            if own.is_none() && fs_err::symlink_metadata(&folder).is_err() {
                return Err(not_there(layout, &named.repo));
            }
            let commit = named.commit(layout, own)?;
            let name = named.revision.as_ref().map(ToString::to_string);
            let beside = name.filter(|name| own.is_some_and(|own| own.revisions.contains_key(name)));
            let is_main = beside.is_none()
                && commit.as_ref().is_none_or(|commit| own.is_some_and(|own| own.commit == *commit));
            if let Some(declared) = declared.filter(|_| is_main)
                && declared.models.iter().any(|model| model.repo == named.repo)
            {
                return Err(is_declared(&named.repo, declared));
            }
            if let Some(own) = own.filter(|own| is_main && commit.is_some() && !own.revisions.is_empty()) {
                return Err(is_default(&named.repo, own));
            }
            // Twice the same is the same.
            if removed.iter().all(|gone| gone.repo != named.repo || gone.commit != commit) {
                let bytes = bytes(layout, &named.repo, commit.as_deref());
                removed.push(Gone { repo: named.repo.clone(), revision: beside, commit, bytes });
            }
        }
        self.unused(context, layout, locked, &removed, declared)?;
        let freed = removed.iter().map(|gone| gone.bytes).sum();
        Ok(Removed { dry_run: self.dry_run, freed, removed })
    }

    /// Refuses what jobs use, or may use.
    fn unused(
        &self,
        context: &Context,
        layout: &Layout,
        locked: &Locked,
        removed: &[Gone],
        declared: Option<&Declared>,
    ) -> Result<(), Failure> {
        let used = removal::used(context, declared);
        for gone in removed {
            for commit in commits(layout, locked, gone) {
                let jobs = used.of_model(&gone.repo, &commit);
                if jobs.is_empty() {
                    continue;
                }
                let jobs = in_use::shown(jobs);
                let message = format!("model {} (commit {commit}) is used by {jobs}", gone.repo);
                if !self.force {
                    return Err(Failure::new(Exit::Busy, "model_in_use", message)
                        .with_hint("wait until they have ended; --force takes it away from them"));
                }
                printer::warning(&message, None);
            }
        }
        removal::sure(used, self.force)
    }
}

fn is_declared(repo: &ModelId, declared: &Declared) -> Failure {
    let message = format!("the model {repo} is declared in {}", declared.path.display());
    Failure::new(Exit::Invalid, "model_declared", message).with_hint(
        "take it out of your site.yaml and run `bf-admin setup` first, or the next setup brings it back",
    )
}

fn is_default(repo: &ModelId, own: &LockedModel) -> Failure {
    let others: Vec<&str> = own.revisions.keys().map(String::as_str).collect();
    let message = format!(
        "this revision of {repo} is the one that users get, and there are others beside it: {}",
        others.join(", ")
    );
    Failure::new(Exit::Invalid, "revision_is_default", message)
        .with_hint(format!("remove the others first, or all with `bf-admin model rm {repo}`"))
}

/// The commits of what goes: that of the revision, or all that the model has.
fn commits(layout: &Layout, locked: &Locked, gone: &Gone) -> BTreeSet<String> {
    if let Some(commit) = &gone.commit {
        return BTreeSet::from([commit.clone()]);
    }
    let own = locked.models.get(&gone.repo.to_string());
    let written = own.into_iter().flat_map(LockedModel::all).map(|own| own.commit.to_owned());
    let there = store::unused_snapshots(layout, &gone.repo, None).into_iter().map(|one| one.commit);
    written.chain(there).collect()
}

fn bytes(layout: &Layout, repo: &ModelId, commit: Option<&str>) -> u64 {
    match commit {
        None => image::extent(&store::folder(layout, repo)).1,
        Some(commit) => {
            let all = store::unused_snapshots(layout, repo, None);
            all.into_iter().find(|one| one.commit == commit).map_or(0, |one| one.bytes)
        }
    }
}

/// First the files, then the line in the lock: what ends between the two is removed by the next run.
fn remove(publisher: &Publisher<'_>, locked: &mut Locked, gone: &Gone) -> Result<(), Failure> {
    let name = gone.repo.to_string();
    match &gone.commit {
        None => {
            store::remove_model(publisher, &gone.repo)?;
            locked.models.remove(&name);
        }
        Some(commit) => {
            let mut after = locked.models.get(&name).cloned();
            match (&gone.revision, &mut after) {
                (Some(revision), Some(own)) => drop(own.revisions.remove(revision)),
                (None, own) => after = own.take().filter(|own| own.commit != *commit),
                (Some(_), None) => {}
            }
            if let (Some(revision), Some(own)) = (&gone.revision, &after)
                && own.all().any(|own| own.commit == *commit)
            {
                // Under another name it stays.
                let at = store::folder(publisher.layout(), &gone.repo).join("refs").join(revision);
                if store::leads_to(&at, commit) {
                    publisher.remove(Part::Models, &at)?;
                }
                locked.models.extend(after.map(|own| (name, own)));
                return apply::write_lock(publisher, locked);
            }
            let needed = after.iter().flat_map(LockedModel::all).flat_map(|own| own.files);
            let needed = needed.map(|file| file.blob_name().to_owned()).collect();
            store::remove_revision(publisher, &gone.repo, commit, &needed)?;
            match after {
                Some(own) => locked.models.insert(name, own),
                None => locked.models.remove(&name),
            };
        }
    }
    apply::write_lock(publisher, locked)
}
