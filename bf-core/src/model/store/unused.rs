//! What is in a cache's models and no revision of site.lock needs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::folder;
use crate::model::ModelId;
use crate::site::{Layout, LockedModel};

/// A snapshot that site.lock does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedSnapshot {
    /// Its commit: the name of its folder.
    pub commit: String,
    /// The folder.
    pub path: PathBuf,
    /// Since when it is not named any more, or when it was last changed.
    pub since: SystemTime,
    /// Bytes of the blobs that no other snapshot of the model uses.
    pub bytes: u64,
    /// These blobs.
    pub blobs: Vec<PathBuf>,
}

/// A file among the blobs that no snapshot leads to: of an attempt that was given up, or a part of a download of another client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedBlob {
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was last changed.
    pub since: SystemTime,
}

/// The snapshots of a model that `own` does not name, the newest first; all of them, where site.lock has nothing of the model.
pub fn unused_snapshots(layout: &Layout, id: &ModelId, own: Option<&LockedModel>) -> Vec<UnusedSnapshot> {
    let folder = folder(layout, id);
    let all: Vec<(PathBuf, BTreeSet<OsString>)> =
        entries(&folder.join("snapshots")).into_iter().map(|path| (path.clone(), used(&path))).collect();
    let is_named = |commit: &str| own.is_some_and(|own| own.all().any(|own| own.commit == commit));
    let locked = locked(own);
    let mut found = Vec::new();
    for (path, used) in &all {
        let Some(commit) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Ok(metadata) = fs_err::symlink_metadata(path) else { continue };
        if !metadata.is_dir() || is_named(commit) {
            continue;
        }
        let others = |blob: &OsString| {
            locked.contains(blob) || all.iter().any(|(other, used)| other != path && used.contains(blob))
        };
        let blobs: Vec<PathBuf> =
            used.iter().filter(|blob| !others(blob)).map(|blob| folder.join("blobs").join(blob)).collect();
        let bytes = blobs.iter().filter_map(|blob| Some(fs_err::symlink_metadata(blob).ok()?.len())).sum();
        let since = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        found.push(UnusedSnapshot { commit: commit.to_owned(), path: path.clone(), since, bytes, blobs });
    }
    found.sort_by(|a, b| {
        (std::cmp::Reverse(a.since), &a.commit).cmp(&(std::cmp::Reverse(b.since), &b.commit))
    });
    found
}

/// The files among the blobs of a model that neither a snapshot nor `own` needs.
pub fn unused_blobs(layout: &Layout, id: &ModelId, own: Option<&LockedModel>) -> Vec<UnusedBlob> {
    let folder = folder(layout, id);
    let mut needed = locked(own);
    needed.extend(entries(&folder.join("snapshots")).iter().flat_map(|snapshot| used(snapshot)));
    let unused = |path: PathBuf| {
        let metadata = fs_err::symlink_metadata(&path).ok().filter(|metadata| !metadata.is_dir())?;
        let is_needed = path.file_name().is_some_and(|name| needed.contains(name));
        let since = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        (!is_needed).then_some(UnusedBlob { path, bytes: metadata.size(), since })
    };
    entries(&folder.join("blobs")).into_iter().filter_map(unused).collect()
}

/// The blobs of site.lock.
fn locked(own: Option<&LockedModel>) -> BTreeSet<OsString> {
    let files = own.into_iter().flat_map(LockedModel::all).flat_map(|own| own.files);
    files.map(|file| OsString::from(file.blob_name())).collect()
}

/// The names of the blobs that the links of a snapshot lead to.
pub(super) fn used(snapshot: &Path) -> BTreeSet<OsString> {
    let links =
        walkdir::WalkDir::new(snapshot).into_iter().flatten().filter(walkdir::DirEntry::path_is_symlink);
    let names = links.filter_map(|link| Some(fs_err::read_link(link.path()).ok()?.file_name()?.to_owned()));
    names.collect()
}

/// What is in a folder, by name; nothing in one that is not there, or is a link.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    if !fs_err::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir()) {
        return Vec::new();
    }
    let found = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
