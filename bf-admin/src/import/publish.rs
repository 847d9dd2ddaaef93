//! Copies and hashes files in one pass and publishes them in the layout of `huggingface_hub`.
//!
//! A new model is renamed into place as a whole. Into one that is there, missing blobs come first, then the snapshot,
//! then `refs/main`: whoever reads meanwhile sees the old revision or the new one, all of it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bf_core::digest;
use bf_core::model::ModelId;
use bf_core::model::commit::pseudo_commit;
use bf_core::publish::{Content, PublishError, Publisher};
use bf_core::report::{Exit, Failure};
use bf_core::site::{Access, Layout, LockedFile, LockedModel, Part};
use fs_err::os::unix::fs::symlink;

use super::source::{Source, SourceFile};

/// The folders of a model.
const PARTS: [&str; 3] = ["blobs", "snapshots", "refs"];

/// Refuses a model's folder in which a link would make us read or write elsewhere.
pub(crate) fn clear(layout: &Layout, folder: &Path) -> Result<(), PublishError> {
    PARTS.iter().try_for_each(|part| bf_core::publish::clear(layout, &folder.join(part)))
}

/// Makes the model `id` of `source` in the folder `stage`, and gives what site.lock will say of it, but for whom it is. `passed` is told how
/// many bytes were read.
pub(crate) fn make(
    layout: &Layout,
    id: &ModelId,
    source: &Source,
    stage: &Path,
    passed: &dyn Fn(&str, u64),
) -> Result<LockedModel, Failure> {
    let folder = layout.models().join(id.folder_name());
    let tree = stage.join(id.folder_name());
    for part in PARTS {
        fs_err::create_dir_all(tree.join(part))?;
    }
    clear(layout, &folder)?;
    let mut files = Vec::new();
    for file in &source.files {
        passed(&file.path, 0);
        let bytes = |bytes| passed(&file.path, bytes);
        files.push(stage_blob(file, &tree.join("blobs"), &folder.join("blobs"), &bytes)?);
    }
    let commit = pseudo_commit(files.iter().map(|file| (&file.path, &file.sha256)))?;
    let snapshot = tree.join("snapshots").join(&commit);
    for file in &files {
        let link = snapshot.join(&file.path);
        fs_err::create_dir_all(link.parent().unwrap_or(&snapshot))?;
        symlink(blob_link(file), link)?;
    }
    fs_err::write(tree.join("refs/main"), &commit)?;
    Ok(LockedModel { commit, files, access: Access::All })
}

/// Publishes what [`make`] has made in `stage`.
pub(crate) fn publish(
    publisher: &Publisher<'_>,
    id: &ModelId,
    stage: &Path,
    model: &LockedModel,
) -> Result<(), Failure> {
    let folder = publisher.layout().models().join(id.folder_name());
    let tree = stage.join(id.folder_name());
    clear(publisher.layout(), &folder)?;
    if fs_err::symlink_metadata(&folder).is_ok() {
        into_existing(publisher, &tree, &folder, &model.commit, &model.files)
    } else {
        Ok(publisher.publish(&tree, &folder, Content::Model)?)
    }
}

/// Tells how many bytes were read of what passes.
struct Counted<'a, R> {
    from: R,
    passed: &'a dyn Fn(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        (self.passed)(read as u64);
        Ok(read)
    }
}

/// Copies a file into the staged blobs, unless the model has that content already.
fn stage_blob(
    source: &SourceFile,
    staged: &Path,
    there: &Path,
    passed: &dyn Fn(u64),
) -> Result<LockedFile, Failure> {
    let found = |(sha256, bytes)| LockedFile { path: source.path.clone(), sha256, bytes };
    // Reading it once more is cheaper than writing what is there.
    if has_size(there, source.bytes) {
        let file = found(digest::of_file(&source.file)?);
        if is_whole(&there.join(&file.sha256), &file)? {
            passed(file.bytes);
            return Ok(file);
        }
    }
    let copy = staged.join(".copy");
    let mut to = fs_err::File::create(&copy)?;
    let file =
        found(digest::copy(&mut Counted { from: fs_err::File::open(&source.file)?, passed }, &mut to)?);
    if file.bytes != source.bytes {
        let message = format!("{} was changed while it was read", source.file.display());
        return Err(Failure::new(Exit::Invalid, "source_changed", message)
            .with_hint("wait until nobody writes to it, then run the command again"));
    }
    fs_err::rename(copy, staged.join(&file.sha256))?;
    Ok(file)
}

/// Whether a blob of that length is there at all.
fn has_size(blobs: &Path, bytes: u64) -> bool {
    let Ok(entries) = fs_err::read_dir(blobs) else { return false };
    entries.flatten().any(|entry| entry.metadata().is_ok_and(|metadata| metadata.len() == bytes))
}

/// Whether a published blob is what its name says.
fn is_whole(blob: &Path, file: &LockedFile) -> io::Result<bool> {
    match fs_err::symlink_metadata(blob) {
        Ok(metadata) if metadata.is_file() && metadata.len() == file.bytes => {
            Ok(digest::of_file(blob)?.0 == file.sha256)
        }
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The relative link from a file of the snapshot to its blob.
pub(crate) fn blob_link(file: &LockedFile) -> PathBuf {
    let up = "../".repeat(file.path.matches('/').count() + 2);
    format!("{up}blobs/{}", file.sha256).into()
}

fn into_existing(
    publisher: &Publisher<'_>,
    tree: &Path,
    folder: &Path,
    commit: &str,
    files: &[LockedFile],
) -> Result<(), Failure> {
    for entry in fs_err::read_dir(tree.join("blobs"))? {
        let entry = entry?;
        publisher.publish(&entry.path(), &folder.join("blobs").join(entry.file_name()), Content::Model)?;
    }
    let snapshot = folder.join("snapshots").join(commit);
    if link_fault(&snapshot, files).is_some() {
        if fs_err::symlink_metadata(&snapshot).is_ok() {
            publisher.remove(Part::Models, &snapshot)?;
        }
        publisher.publish(&tree.join("snapshots").join(commit), &snapshot, Content::Model)?;
    }
    let main = folder.join("refs/main");
    let is_file = fs_err::symlink_metadata(&main).is_ok_and(|metadata| metadata.is_file());
    if !is_file || fs_err::read_to_string(&main).ok().as_deref() != Some(commit) {
        publisher.publish(&tree.join("refs/main"), &main, Content::Model)?;
    }
    Ok(())
}

/// What in a snapshot is not the link to its blob that an import made, or is there besides them.
pub(crate) fn link_fault(snapshot: &Path, files: &[LockedFile]) -> Option<String> {
    let mut wanted: BTreeMap<PathBuf, PathBuf> =
        files.iter().map(|file| (snapshot.join(&file.path), blob_link(file))).collect();
    for entry in walkdir::WalkDir::new(snapshot).follow_root_links(false).sort_by_file_name() {
        let Ok(entry) = entry else { return Some("its snapshot cannot be read".into()) };
        if entry.file_type().is_dir() {
            continue;
        }
        let shown = entry.path().strip_prefix(snapshot).unwrap_or(entry.path()).display();
        let target = fs_err::read_link(entry.path()).ok();
        match (wanted.remove(entry.path()), target) {
            (None, _) if entry.depth() == 0 => {
                return Some("its snapshot is not a folder".into());
            }
            (None, _) => return Some(format!("{shown} is foreign: no import put it there")),
            (Some(_), None) => return Some(format!("{shown} is a copy instead of a link to its blob")),
            (Some(own), Some(target)) if own != target => {
                return Some(format!("{shown} leads to {} instead of its blob", target.display()));
            }
            (Some(_), Some(_)) => {}
        }
    }
    let missing = wanted.keys().next()?;
    Some(format!("{} is missing", missing.strip_prefix(snapshot).unwrap_or(missing).display()))
}

#[cfg(test)]
mod tests {
    use bf_core::lock::SiteGuard;
    use bf_core::model::{Location, Root};
    use bf_core::publish::Policy;

    use super::*;
    use crate::testing::gguf;

    fn import(publisher: &Publisher<'_>, id: &ModelId, source: &Source) -> LockedModel {
        let stage = publisher.stage(Part::Models).unwrap();
        let model = make(publisher.layout(), id, source, stage.path(), &|_, _| ()).unwrap();
        publish(publisher, id, stage.path(), &model).unwrap();
        model
    }

    fn folder(salt: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("model.gguf"), gguf(salt)).unwrap();
        fs_err::create_dir(dir.path().join("sub")).unwrap();
        fs_err::write(dir.path().join("sub/config.json"), "{}").unwrap();
        dir
    }

    #[test]
    fn a_model_is_found_after_import_and_a_changed_one_replaces_it() {
        let cache = tempfile::tempdir().unwrap();
        let layout = Layout::new(cache.path());
        let guard = SiteGuard::take(&layout).unwrap();
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        let id = ModelId::parse("org/name").unwrap();
        let root = Root { path: layout.models(), location: Location::Cache };
        let mut commits = Vec::new();
        for salt in [1, 2, 1] {
            let dir = folder(salt);
            let source = Source::read(dir.path(), &id, None, false).unwrap();
            let imported = import(&publisher, &id, &source);
            assert_eq!(imported.commit, source.commit().unwrap());
            let found = bf_core::model::find(&[Root { ..root.clone() }], &id, None).unwrap();
            assert_eq!(found.info.revision, imported.commit);
            commits.push(imported.commit);
        }
        assert_eq!(commits[0], commits[2]);
        let blobs = layout.models().join("models--org--name/blobs");
        assert_eq!(fs_err::read_dir(blobs).unwrap().count(), 3);
        assert_eq!(fs_err::read_dir(layout.staging(Part::Models)).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_blob_and_a_missing_link_are_mended() {
        let cache = tempfile::tempdir().unwrap();
        let layout = Layout::new(cache.path());
        let guard = SiteGuard::take(&layout).unwrap();
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        let id = ModelId::parse("org/name").unwrap();
        let dir = folder(1);
        let source = Source::read(dir.path(), &id, None, false).unwrap();
        let locked = import(&publisher, &id, &source);
        let model = layout.models().join(id.folder_name());
        let blob = model.join("blobs").join(&locked.files[0].sha256);
        let length = usize::try_from(locked.files[0].bytes).unwrap();
        fs_err::write(&blob, vec![0; length]).unwrap();
        let link = model.join("snapshots").join(&locked.commit).join("sub/config.json");
        fs_err::remove_file(&link).unwrap();
        assert_eq!(import(&publisher, &id, &source), locked);
        assert_eq!(fs_err::read(&blob).unwrap(), gguf(1));
        assert_eq!(fs_err::read(&link).unwrap(), b"{}");
    }
}
