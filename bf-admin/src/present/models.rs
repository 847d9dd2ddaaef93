//! What is there of a model, and what could be imported.

use std::collections::BTreeSet;
use std::path::Path;

use bf_core::model::store::{self, Asked, MAIN, Take};
use bf_core::model::{self, Location, ModelId, Revision, Root};
use bf_core::report::{Exit, Failure};
use bf_core::site::{DeclaredModel, Layout, Locked, LockedModel, RevisionOf};

use super::{Depth, Disk, ModelFacts, SourceFacts, files, one_file};
use crate::drift::Readers;
use crate::import::{Files, Kept, Reach, Wanted};
use crate::space;

/// How what has no source here is asked of the Hub.
pub(super) struct Hub<'a> {
    /// Whether it is compared even if it is whole.
    pub(super) update: bool,
    /// Whether it must be the commit of site.lock.
    pub(super) locked: bool,
    /// The Hub, when it must be asked.
    pub(super) reach: &'a dyn Fn() -> Result<Reach, Failure>,
}

pub(super) fn model(
    layout: &Layout,
    locked: &Locked,
    wanted: &DeclaredModel,
    hub: &Hub<'_>,
    depth: Depth,
) -> Result<ModelFacts, Failure> {
    let update = hub.update;
    let own = locked.models.get(&wanted.repo.to_string());
    let depth = if update { Depth::Full } else { depth };
    let disk = locked_blobs(layout, &wanted.repo, own.map(LockedModel::main), depth);
    let loadable = loadable(layout, &wanted.repo);
    let revision = wanted.revision.as_ref().map(Revision::as_str);
    let is_asked = own.is_none_or(|own| Asked { revision, declared: true }.is_main_of(own));
    let needed = disk != Disk::Whole || update || !is_asked;
    let source = wanted.path.as_deref().filter(|_| needed).map(|path| {
        let kept = Kept {
            choice: Kept::choice(
                wanted.format.as_deref().and_then(|format| format.parse().ok()),
                &wanted.include,
                &wanted.exclude,
                wanted.allow_pickle,
            ),
            revision: wanted.revision.clone(),
            take: Take::Copy,
        };
        // What site.lock has and the cache has not any more may be another revision at its source by now: that is said beforehand.
        let own = own.map(LockedModel::main);
        let mut facts = source(layout, path, &wanted.repo, &kept, own.as_ref(), update || own.is_some())?;
        facts.is_locked &= is_asked;
        Ok(facts)
    });
    let is_kept = own.is_none() && loadable && !update;
    // Without its files in site.lock `--locked` refuses it, whatever the Hub has.
    let asks = wanted.path.is_none() && needed && !is_kept && (own.is_some() || !hub.locked);
    let download = asks.then(|| {
        let mut hubs = Wanted::declared(wanted);
        // A branch that has moved changes nothing by itself.
        let stays = hub.locked || (is_asked && !update);
        hubs.exact = own.filter(|_| stays).map(|own| own.commit.clone());
        let download = hubs.outline(layout, &wanted.repo, &(hub.reach)()?)?;
        if *download.repo() != wanted.repo {
            let message = format!("{} is called {} on the Hub", wanted.repo, download.repo());
            return Err(Failure::new(Exit::Invalid, "model_renamed", message)
                .with_hint(format!("declare it as `repo: {}`", download.repo())));
        }
        Ok(Box::new(download))
    });
    Ok(ModelFacts {
        disk,
        download,
        loadable,
        is_asked,
        update: update || !is_asked,
        source,
        readers: Readers::declared(wanted)?,
    })
}

/// The revision of a model that users get as the lock has it, in its folder, with `main` leading to it.
pub(crate) fn locked_model(layout: &Layout, id: &ModelId, own: Option<&LockedModel>, depth: Depth) -> Disk {
    own.map_or(Disk::Absent, |own| locked_revision(layout, id, &own.main(), MAIN, depth))
}

/// A revision of a model as the lock has it, in its folder, with the ref `name` leading to it.
pub(crate) fn locked_revision(
    layout: &Layout,
    id: &ModelId,
    own: &RevisionOf<'_>,
    name: &str,
    depth: Depth,
) -> Disk {
    let folder = store::folder(layout, id);
    if let Err(error) = store::clear(layout, &folder) {
        return Disk::Drifted(error.to_string());
    }
    let snapshot = folder.join("snapshots").join(own.commit);
    let disk = files(&snapshot, own.files, depth);
    if disk != Disk::Whole {
        return disk;
    }
    if let Some(fault) = store::link_fault(&snapshot, own.files) {
        return Disk::Drifted(fault);
    }
    // A commit is its own name.
    if name != own.commit && !store::leads_to(&folder.join("refs").join(name), own.commit) {
        return Disk::Drifted(format!("refs/{name} does not name the revision of site.lock"));
    }
    Disk::Whole
}

/// The bytes of a revision as the lock has it. Its links are looked at as drift, which mends them without its source.
pub(crate) fn locked_blobs(layout: &Layout, id: &ModelId, own: Option<RevisionOf<'_>>, depth: Depth) -> Disk {
    let Some(own) = own else { return Disk::Absent };
    let folder = store::folder(layout, id);
    if let Err(error) = store::clear(layout, &folder) {
        return Disk::Drifted(error.to_string());
    }
    if fs_err::symlink_metadata(folder.join("blobs")).is_err() {
        return Disk::Absent;
    }
    for file in own.files {
        match one_file(&folder.join("blobs"), file.blob_name(), &file.sha256, file.bytes, depth) {
            Disk::Whole => {}
            Disk::Absent => return Disk::Damaged(format!("{} is missing", file.path)),
            // A blob is called by its digest, which nobody knows.
            Disk::Damaged(why) => return Disk::Damaged(why.replace(file.blob_name(), &file.path)),
            other @ Disk::Drifted(_) => return other,
        }
    }
    Disk::Whole
}

/// Whether the cache has the model in a state that can be loaded.
pub(crate) fn loadable(layout: &Layout, id: &ModelId) -> bool {
    let root = Root { path: layout.models(), location: Location::Cache };
    model::find(&[root], id, None).is_ok()
}

/// Looks at what would be imported: that it is a model, that there is space; `compare`: which commit it has, and whether that is `own`.
pub(crate) fn source(
    layout: &Layout,
    path: &Path,
    id: &ModelId,
    kept: &Kept,
    own: Option<&RevisionOf<'_>>,
    compare: bool,
) -> Result<SourceFacts, Failure> {
    apart(layout, path)?;
    store::clear(layout, &store::folder(layout, id))?;
    let source = Files::read(path, id, kept)?;
    let needed = new_bytes(layout, id, &source)?;
    let hashed = if compare { Some(source.hashed()?) } else { None };
    let is_locked = hashed
        .as_ref()
        .zip(own)
        .is_some_and(|(hashed, own)| hashed.commit == own.commit && hashed.files == own.files);
    Ok(SourceFacts { source, needed, commit: hashed.map(|hashed| hashed.commit), is_locked })
}

/// Refuses a source that is a part of the cache, or that the cache is a part of: the cache would be copied into itself.
fn apart(layout: &Layout, path: &Path) -> Result<(), Failure> {
    let Ok(real) = fs_err::canonicalize(path) else { return Ok(()) }; // its own failure says why
    let cache = layout.root();
    let message = if real.starts_with(cache) {
        format!("{} cannot be imported: it is in the cache {} itself", path.display(), cache.display())
    } else if cache.starts_with(&real) {
        format!("{} cannot be imported: the cache {} is in it", path.display(), cache.display())
    } else {
        return Ok(());
    };
    Err(Failure::new(Exit::Invalid, "source_is_cache", message)
        .with_hint("name the folder that holds this model's files, outside of the cache"))
}

/// Refuses what does not fit, and gives how much there is to write. Files of a length that the model's blobs have already are taken to be there.
fn new_bytes(layout: &Layout, id: &ModelId, source: &Files) -> Result<u64, Failure> {
    let blobs = store::folder(layout, id).join("blobs");
    let there: BTreeSet<u64> = fs_err::read_dir(blobs)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .collect();
    let needed = source.files.iter().map(|file| file.bytes).filter(|bytes| !there.contains(bytes)).sum();
    space::check(&layout.models(), needed, &format!("model {id}"))?;
    Ok(needed)
}
