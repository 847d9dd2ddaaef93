//! `model prune`: removes what nobody asks for any more: replaced revisions, blobs that no revision needs, downloads that were given up; with
//! `--all` also models that site.lock does not have.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use bf_core::model::store::{self, UnusedSnapshot};
use bf_core::model::{Location, ModelId, Root, cache};
use bf_core::publish::Publisher;
use bf_core::report::{Exit, Failure, Report, human_bytes, table};
use bf_core::site::{Declared, Layout, Locked, LockedModel, Part, Retention};
use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::in_use::{self, InUse};
use crate::session::{self, Make};
use crate::{image, locate, printer, retained};

/// Options of `model prune`.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Also what was replaced a short time ago, or is one of those that `retention` keeps, and models that site.lock does not have
    #[arg(long)]
    all: bool,
    /// Also when it cannot be known which models jobs use
    #[arg(long)]
    force: bool,
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
}

/// What one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// A revision of a model that site.lock has, and not this one of it.
    Revision,
    /// A file that no revision leads to.
    Blob,
    /// What was fetched of a model, and not to its end.
    Download,
    /// A model that site.lock does not have.
    Model,
}

#[derive(Debug, Serialize)]
struct Old {
    kind: Kind,
    /// `ORG/NAME`, `ORG/NAME@COMMIT`, or a path relative to the cache.
    name: String,
    bytes: u64,
    /// Why it stays; nothing when it goes.
    kept: Option<String>,
    #[serde(skip)]
    repo: Option<ModelId>,
    #[serde(skip)]
    commits: Vec<String>,
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    since: SystemTime,
}

#[derive(Debug, Serialize)]
struct Pruned {
    dry_run: bool,
    /// Bytes of what was removed, or would be.
    freed: u64,
    items: Vec<Old>,
}

impl Report for Pruned {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would be removed" } else { "removed" };
        let rows = self.items.iter().map(|old| {
            vec![
                format!("{:?}", old.kind).to_lowercase(),
                old.name.clone(),
                human_bytes(old.bytes),
                old.kept.as_ref().map_or_else(|| verb.to_owned(), |why| format!("kept: {why}")),
            ]
        });
        table(out, &["KIND", "NAME", "SIZE", ""], rows)?;
        match (self.items.iter().any(|old| old.kept.is_none()), self.dry_run) {
            (false, _) => writeln!(out, "nothing to do"),
            (true, true) => writeln!(out, "{} to be freed", human_bytes(self.freed)),
            (true, false) => writeln!(out, "{} freed", human_bytes(self.freed)),
        }
    }
}

impl Prune {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let layout = bf_core::site::open(locate::cache(context)?.root())?;
        let declared = locate::declared_in(&layout)?;
        let pruned = if self.dry_run {
            session::writable(&layout, Make::Itself)?;
            self.found(context, &layout, &Locked::load(&layout)?, declared.as_ref())?
        } else {
            let policy = session::policy(declared.as_ref())?;
            session::run(context, &layout, Make::Itself, policy, |publisher| {
                let locked = Locked::load(&layout)?;
                let pruned = self.found(context, &layout, &locked, declared.as_ref())?;
                for old in pruned.items.iter().filter(|old| old.kept.is_none()) {
                    remove(publisher, &locked, old)?;
                }
                let count = pruned.items.iter().filter(|old| old.kept.is_none()).count();
                crate::apply::keep_catalog(publisher, &locked, count > 0)?;
                let line = (count > 0).then(|| format!("ok: {count} things removed, {} bytes", pruned.freed));
                Ok((pruned, line))
            })?
        };
        context.printer.print(&pruned)?;
        Ok(Exit::Ok)
    }

    fn found(
        &self,
        context: &Context,
        layout: &Layout,
        locked: &Locked,
        declared: Option<&Declared>,
    ) -> Result<Pruned, Failure> {
        let retention = declared.map(|declared| declared.retention).unwrap_or_default();
        let mut items = all(layout, locked)?;
        if !self.all {
            keep_some(&mut items, retention, SystemTime::now());
        }
        // Of a blob nothing says which job reads it: those of revisions go with them.
        if items.iter().any(|old| old.kept.is_none() && !old.commits.is_empty()) {
            let clusters =
                declared.map(|declared| declared.rules.slurm.clusters.as_slice()).unwrap_or_default();
            let used = InUse::ask(&context.environment, clusters);
            for old in items.iter_mut().filter(|old| old.kept.is_none()) {
                let Some(repo) = &old.repo else { continue };
                let mut jobs = old.commits.iter().map(|commit| used.of_model(repo, commit));
                let jobs = jobs.find(|jobs| !jobs.is_empty());
                old.kept = jobs.map(|jobs| format!("used by {}", in_use::shown(jobs)));
            }
            match used.unsure {
                Some(failure) if !self.force => return Err(failure),
                Some(failure) => printer::warning(&failure.message, None),
                None => {}
            }
        }
        let freed = items.iter().filter(|old| old.kept.is_none()).map(|old| old.bytes).sum();
        Ok(Pruned { dry_run: self.dry_run, freed, items })
    }
}

/// Everything that site.lock does not need.
fn all(layout: &Layout, locked: &Locked) -> Result<Vec<Old>, Failure> {
    let mut items = Vec::new();
    for id in cache::ids(&Root { path: layout.models(), location: Location::Cache }).0 {
        let own = locked.models.get(&id.to_string());
        let snapshots = store::unused_snapshots(layout, &id, own);
        if own.is_none() {
            items.push(model(layout, id, &snapshots));
            continue;
        }
        items.extend(snapshots.iter().map(|one| Old {
            kind: Kind::Revision,
            name: format!("{id}@{}", one.commit),
            bytes: one.bytes,
            kept: None,
            repo: Some(id.clone()),
            commits: vec![one.commit.clone()],
            path: one.path.clone(),
            since: one.since,
        }));
        items.extend(store::unused_blobs(layout, &id, own).into_iter().map(|blob| Old {
            kind: Kind::Blob,
            name: layout.relative(&blob.path).display().to_string(),
            bytes: blob.bytes,
            kept: None,
            repo: Some(id.clone()),
            commits: Vec::new(),
            path: blob.path,
            since: blob.since,
        }));
    }
    items.extend(downloads(layout)?);
    Ok(items)
}

fn model(layout: &Layout, id: ModelId, snapshots: &[UnusedSnapshot]) -> Old {
    let path = store::folder(layout, &id);
    let modified = fs_err::symlink_metadata(&path).and_then(|metadata| metadata.modified());
    let newest = snapshots.iter().map(|one| one.since).max();
    Old {
        kind: Kind::Model,
        name: id.to_string(),
        bytes: image::extent(&path).1,
        kept: None,
        commits: snapshots.iter().map(|one| one.commit.clone()).collect(),
        repo: Some(id),
        path,
        since: newest.unwrap_or_else(|| modified.unwrap_or(SystemTime::UNIX_EPOCH)),
    }
}

/// What was fetched by runs that did not come to their end, each thing by itself. Ours, which hold the lock, fetch nothing.
fn downloads(layout: &Layout) -> Result<Vec<Old>, Failure> {
    let mut items = Vec::new();
    for claim in folders(&layout.models().join(Layout::DOWNLOADS))? {
        for path in folders(&claim)? {
            let newest = walkdir::WalkDir::new(&path).into_iter().flatten();
            let newest = newest.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max();
            items.push(Old {
                kind: Kind::Download,
                name: layout.relative(&path).display().to_string(),
                bytes: image::extent(&path).1,
                kept: None,
                repo: None,
                commits: Vec::new(),
                since: newest.unwrap_or(SystemTime::UNIX_EPOCH),
                path,
            });
        }
    }
    Ok(items)
}

/// The folders in a folder, by name; none where there is no such folder.
fn folders(folder: &std::path::Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs_err::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Keeps what was replaced or left within the time of grace, of each model as many revisions as site.yaml says, and models of others. A
/// revision is marked with the time when site.lock named it no more.
fn keep_some(items: &mut [Old], retention: Retention, now: SystemTime) {
    let mut kept: std::collections::BTreeMap<ModelId, u32> = std::collections::BTreeMap::new();
    // The newest of a model come first.
    for old in items {
        let spare = old.repo.as_ref().filter(|_| old.kind == Kind::Revision).is_some_and(|repo| {
            let kept = kept.entry(repo.clone()).or_insert(1);
            *kept += 1;
            *kept <= retention.keep_revisions
        });
        let spare = spare.then_some((retention.keep_revisions, "keep_revisions"));
        old.kept = match old.kind {
            Kind::Model => Some("not in site.lock; --all removes it".to_owned()),
            _ => retained::why(old.since, now, retention.grace_days, spare),
        };
    }
}

fn remove(publisher: &Publisher<'_>, locked: &Locked, old: &Old) -> Result<(), Failure> {
    match (old.kind, &old.repo, old.commits.first()) {
        (Kind::Revision, Some(repo), Some(commit)) => {
            let own = locked.models.get(&repo.to_string());
            let needed = own.into_iter().flat_map(LockedModel::all).flat_map(|own| own.files);
            let needed = needed.map(|file| file.blob_name().to_owned()).collect();
            store::remove_revision(publisher, repo, commit, &needed)
        }
        _ => Ok(publisher.remove(Part::Models, &old.path)?),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn old(kind: Kind, name: &str, days: u64, now: SystemTime) -> Old {
        let repo = Some("org/name".parse().unwrap()).filter(|_| kind != Kind::Download);
        let since = now - Duration::from_hours(24 * days);
        let commits = vec![];
        Old { kind, name: name.into(), bytes: 1, kept: None, repo, commits, path: PathBuf::new(), since }
    }

    #[test]
    fn the_newest_the_young_and_the_models_of_others_are_kept() {
        let now = SystemTime::now();
        let mut items = vec![
            old(Kind::Revision, "young", 3, now),
            old(Kind::Revision, "old", 30, now),
            old(Kind::Blob, "blob", 20, now),
            old(Kind::Blob, "fresh", 1, now),
            old(Kind::Download, "download", 15, now),
            old(Kind::Model, "other", 300, now),
        ];
        keep_some(&mut items, Retention { keep_revisions: 2, ..Retention::default() }, now);
        let kept: Vec<(&str, Option<&str>)> =
            items.iter().map(|old| (old.name.as_str(), old.kept.as_deref())).collect();
        assert_eq!(
            kept,
            [
                ("young", Some("needed until lately, kept for 11 more days (`retention.grace_days`)")),
                ("old", None),
                ("blob", None),
                ("fresh", Some("needed until lately, kept for 13 more days (`retention.grace_days`)")),
                ("download", None),
                ("other", Some("not in site.lock; --all removes it")),
            ]
        );
        let mut only = vec![old(Kind::Revision, "old", 30, now)];
        keep_some(&mut only, Retention { keep_revisions: 2, ..Retention::default() }, now);
        assert_eq!(only[0].kept.as_deref(), Some("one of the 2 that `retention.keep_revisions` keeps"));
    }
}
