//! What becomes of files that were moved: they are removed when the cache has them. Of a cache of the Hub's clients stays what another of its
//! revisions needs.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use bf_core::model::store::Take;
use bf_core::report::{Exit, Failure};
use walkdir::WalkDir;

use super::{Files, History};

/// Removes the files that were taken, and folders that are empty then.
///
/// # Errors
/// What could not be removed, named: the model is in the cache all the same.
pub(super) fn leave(files: &Files) -> Result<(), Failure> {
    if files.take != Take::Move {
        return Ok(());
    }
    let result = match &files.history {
        Some(history) => snapshot(files, history),
        None => plain(files),
    };
    result.map_err(|error| {
        let message =
            format!("the model is in the cache, and {} is not all removed: {error}", files.named.display());
        Failure::new(Exit::Failed, "source_not_removed", message)
            .with_hint("remove what is left of it by hand")
    })
}

fn plain(files: &Files) -> io::Result<()> {
    for file in &files.files {
        // One of a cache that has no history is a link, whose blob others may need.
        gone(&if files.root.is_dir() { files.root.join(&file.path) } else { file.from.clone() })?;
    }
    empty(&files.root);
    Ok(())
}

fn snapshot(files: &Files, history: &History) -> io::Result<()> {
    for file in &files.files {
        gone(&files.root.join(&file.path))?;
    }
    empty(&files.root);
    let used = used(&history.folder.join("snapshots"));
    for file in files.files.iter().filter(|file| !used.contains(&file.from)) {
        gone(&file.from)?;
    }
    if fs_err::symlink_metadata(&files.root).is_err() {
        for name in &history.refs {
            gone(&history.folder.join("refs").join(name))?;
        }
    }
    for part in ["snapshots", "blobs", "refs", ""] {
        empty(&history.folder.join(part));
    }
    Ok(())
}

/// The files that the links below a folder lead to.
fn used(folder: &Path) -> BTreeSet<PathBuf> {
    let links = WalkDir::new(folder).into_iter().flatten().filter(walkdir::DirEntry::path_is_symlink);
    links.filter_map(|link| fs_err::canonicalize(link.path()).ok()).collect()
}

fn gone(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes folders that are empty, from below; those that are not stay.
fn empty(folder: &Path) {
    for entry in WalkDir::new(folder).contents_first(true).into_iter().flatten() {
        if entry.file_type().is_dir() {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}
