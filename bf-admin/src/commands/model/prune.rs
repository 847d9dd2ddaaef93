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
use crate::image;
use crate::removal::{self, Old};

/// Options of `model prune`.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Also what `retention` of site.yaml keeps: what was needed until lately, and earlier revisions; and models that site.lock does not have
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
struct Thing {
    kind: Kind,
    /// `ORG/NAME`, `ORG/NAME@COMMIT`, or a path relative to the cache.
    name: String,
    #[serde(skip)]
    repo: Option<ModelId>,
    #[serde(skip)]
    commits: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Pruned {
    dry_run: bool,
    /// Bytes of what was removed, or would be.
    freed: u64,
    items: Vec<Old<Thing>>,
}

impl Report for Pruned {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.items.iter().map(|old| {
            let kind = format!("{:?}", old.what.kind).to_lowercase();
            vec![kind, old.what.name.clone(), human_bytes(old.bytes), old.fate(self.dry_run)]
        });
        table(out, &["KIND", "NAME", "SIZE", ""], rows)?;
        removal::closing(out, &self.items, self.dry_run)
    }
}

impl Prune {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let find = |layout: &Layout, locked: &Locked, declared: Option<&Declared>| {
            self.found(context, layout, locked, declared)
        };
        removal::run(context, self.dry_run, find, |publisher, locked, pruned| {
            for old in pruned.items.iter().filter(|old| old.goes()) {
                remove(publisher, locked, old)?;
            }
            crate::apply::keep_catalog(publisher, locked, pruned.items.iter().any(Old::goes))?;
            Ok(removal::audit(&pruned.items, "thing"))
        })
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
        if items.iter().any(|old| old.goes() && !old.what.commits.is_empty()) {
            let used = removal::used(context, declared);
            removal::keep_used(&mut items, used, self.force, |used, own| {
                let Some(repo) = &own.repo else { return &[] };
                let mut jobs = own.commits.iter().map(|commit| used.of_model(repo, commit));
                jobs.find(|jobs| !jobs.is_empty()).unwrap_or_default()
            })?;
        }
        Ok(Pruned { dry_run: self.dry_run, freed: removal::freed(&items), items })
    }
}

/// Everything that site.lock does not need.
fn all(layout: &Layout, locked: &Locked) -> Result<Vec<Old<Thing>>, Failure> {
    let mut items = Vec::new();
    for id in cache::ids(&Root { path: layout.models(), location: Location::Cache }).0 {
        let own = locked.models.get(&id.to_string());
        let snapshots = store::unused_snapshots(layout, &id, own);
        if own.is_none() {
            items.push(model(layout, id, &snapshots));
            continue;
        }
        items.extend(snapshots.into_iter().map(|one| {
            let name = format!("{id}@{}", one.commit);
            let what =
                Thing { kind: Kind::Revision, name, repo: Some(id.clone()), commits: vec![one.commit] };
            Old::new(what, one.bytes, one.path, one.since)
        }));
        items.extend(store::unused_blobs(layout, &id, own).into_iter().map(|blob| {
            let name = layout.relative(&blob.path).display().to_string();
            let what = Thing { kind: Kind::Blob, name, repo: Some(id.clone()), commits: Vec::new() };
            Old::new(what, blob.bytes, blob.path, blob.since)
        }));
    }
    items.extend(downloads(layout)?);
    Ok(items)
}

fn model(layout: &Layout, id: ModelId, snapshots: &[UnusedSnapshot]) -> Old<Thing> {
    let path = store::folder(layout, &id);
    let modified = fs_err::symlink_metadata(&path).and_then(|metadata| metadata.modified());
    let newest = snapshots.iter().map(|one| one.since).max();
    let since = newest.unwrap_or_else(|| modified.unwrap_or(SystemTime::UNIX_EPOCH));
    let commits = snapshots.iter().map(|one| one.commit.clone()).collect();
    let what = Thing { kind: Kind::Model, name: id.to_string(), repo: Some(id), commits };
    Old::new(what, image::extent(&path).1, path, since)
}

/// What was fetched by runs that did not come to their end, each thing by itself. Ours, which hold the lock, fetch nothing.
fn downloads(layout: &Layout) -> Result<Vec<Old<Thing>>, Failure> {
    let mut items = Vec::new();
    for claim in folders(&layout.models().join(Layout::DOWNLOADS))? {
        for path in folders(&claim)? {
            let newest = walkdir::WalkDir::new(&path).into_iter().flatten();
            let newest = newest.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max();
            let name = layout.relative(&path).display().to_string();
            let what = Thing { kind: Kind::Download, name, repo: None, commits: Vec::new() };
            let since = newest.unwrap_or(SystemTime::UNIX_EPOCH);
            items.push(Old::new(what, image::extent(&path).1, path, since));
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
fn keep_some(items: &mut [Old<Thing>], retention: Retention, now: SystemTime) {
    let mut kept: std::collections::BTreeMap<ModelId, u32> = std::collections::BTreeMap::new();
    // The newest of a model come first.
    for old in items {
        let spare = old.what.repo.as_ref().filter(|_| old.what.kind == Kind::Revision).is_some_and(|repo| {
            let kept = kept.entry(repo.clone()).or_insert(1);
            *kept += 1;
            *kept <= retention.keep_revisions
        });
        let spare = spare.then_some((retention.keep_revisions, "keep_revisions"));
        old.kept = match old.what.kind {
            Kind::Model => Some("not in site.lock; --all removes it".to_owned()),
            _ => removal::why(old.since, now, retention.grace_days, spare),
        };
    }
}

fn remove(publisher: &Publisher<'_>, locked: &Locked, old: &Old<Thing>) -> Result<(), Failure> {
    match (old.what.kind, &old.what.repo, old.what.commits.first()) {
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

    fn old(kind: Kind, name: &str, days: u64, now: SystemTime) -> Old<Thing> {
        let repo = Some("org/name".parse().unwrap()).filter(|_| kind != Kind::Download);
        let since = now - Duration::from_hours(24 * days);
        Old::new(Thing { kind, name: name.into(), repo, commits: vec![] }, 1, PathBuf::new(), since)
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
        let within = |at: usize| removal::why(items[at].since, now, 14, None);
        let kept: Vec<(&str, Option<&str>)> =
            items.iter().map(|old| (old.what.name.as_str(), old.kept.as_deref())).collect();
        assert_eq!(
            kept,
            [
                ("young", within(0).as_deref()),
                ("old", None),
                ("blob", None),
                ("fresh", within(3).as_deref()),
                ("download", None),
                ("other", Some("not in site.lock; --all removes it")),
            ]
        );
        let mut only = vec![old(Kind::Revision, "old", 30, now)];
        keep_some(&mut only, Retention { keep_revisions: 2, ..Retention::default() }, now);
        assert_eq!(only[0].kept.as_deref(), Some("one of the 2 that `retention.keep_revisions` keeps"));
    }
}
