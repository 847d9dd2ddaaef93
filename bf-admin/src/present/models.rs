//! What is there of a model, and what could be imported.

use std::collections::BTreeSet;
use std::path::Path;

use bf_core::model::{self, Location, ModelId, Root, WeightFormat};
use bf_core::report::{Exit, Failure};
use bf_core::site::{DeclaredModel, Layout, Locked, LockedModel};

use super::{Depth, Disk, ModelFacts, SourceFacts, files, one_file};
use crate::drift::Readers;
use crate::import::{self, Source};
use crate::space;

pub(super) fn model(
    layout: &Layout,
    locked: &Locked,
    wanted: &DeclaredModel,
    update: bool,
    depth: Depth,
) -> Result<ModelFacts, Failure> {
    let own = locked.models.get(&wanted.repo.to_string());
    let depth = if update { Depth::Full } else { depth };
    let disk = locked_blobs(layout, &wanted.repo, own, depth);
    let loadable = loadable(layout, &wanted.repo);
    let needed = disk != Disk::Whole || update;
    let source = wanted.path.as_deref().filter(|_| needed).map(|path| {
        let format = wanted.format.as_deref().and_then(|format| format.parse().ok());
        let kept = Kept { format, pickle: wanted.allow_pickle };
        // What site.lock has and the cache has not any more may be another revision at its source by now: that is said beforehand.
        source(layout, path, &wanted.repo, kept, update || own.is_some())
    });
    Ok(ModelFacts { disk, loadable, source, readers: Readers::declared(wanted)? })
}

/// A model as the lock has it, in its folder, with `main` leading to it.
pub(crate) fn locked_model(layout: &Layout, id: &ModelId, own: Option<&LockedModel>, depth: Depth) -> Disk {
    let Some(own) = own else { return Disk::Absent };
    let folder = layout.models().join(id.folder_name());
    if let Err(error) = import::clear(layout, &folder) {
        return Disk::Drifted(error.to_string());
    }
    let snapshot = folder.join("snapshots").join(&own.commit);
    let disk = files(&snapshot, &own.files, depth);
    if disk != Disk::Whole {
        return disk;
    }
    if let Some(fault) = import::link_fault(&snapshot, &own.files) {
        return Disk::Drifted(fault);
    }
    let main = folder.join("refs/main");
    let is_file = fs_err::symlink_metadata(&main).is_ok_and(|metadata| metadata.is_file());
    if !is_file
        || bf_core::bounded::text(&main, 4096, bf_core::bounded::Links::Refuse).unwrap_or_default().trim()
            != own.commit
    {
        return Disk::Drifted("refs/main does not name the revision of site.lock".into());
    }
    Disk::Whole
}

/// The bytes of a model as the lock has it. Its links are looked at as drift, which mends them without its source.
pub(crate) fn locked_blobs(layout: &Layout, id: &ModelId, own: Option<&LockedModel>, depth: Depth) -> Disk {
    let Some(own) = own else { return Disk::Absent };
    let folder = layout.models().join(id.folder_name());
    if let Err(error) = import::clear(layout, &folder) {
        return Disk::Drifted(error.to_string());
    }
    if fs_err::symlink_metadata(folder.join("blobs")).is_err() {
        return Disk::Absent;
    }
    for file in &own.files {
        match one_file(&folder.join("blobs"), &file.sha256, &file.sha256, file.bytes, depth) {
            Disk::Whole => {}
            Disk::Absent => return Disk::Damaged(format!("{} is missing", file.path)),
            // A blob is called by its digest, which nobody knows.
            Disk::Damaged(why) => return Disk::Damaged(why.replace(&file.sha256, &file.path)),
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

/// Which weights of a source are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// Of several formats this one.
    pub(crate) format: Option<WeightFormat>,
    /// Whether what can hold code is taken as well.
    pub(crate) pickle: bool,
}

/// Looks at what would be imported: that it is a model, that there is space; `compare`: which commit it has.
pub(crate) fn source(
    layout: &Layout,
    path: &Path,
    id: &ModelId,
    kept: Kept,
    compare: bool,
) -> Result<SourceFacts, Failure> {
    apart(layout, path)?;
    import::clear(layout, &layout.models().join(id.folder_name()))?;
    let source = Source::read(path, id, kept.format, kept.pickle)?;
    let needed = new_bytes(layout, id, &source)?;
    let commit = if compare { Some(source.commit()?) } else { None };
    Ok(SourceFacts { source, needed, commit })
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
fn new_bytes(layout: &Layout, id: &ModelId, source: &Source) -> Result<u64, Failure> {
    let blobs = layout.models().join(id.folder_name()).join("blobs");
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
