//! The links of a snapshot, each to the blob of its file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::site::LockedFile;

/// The relative link from a file of the snapshot to its blob.
pub fn blob_link(file: &LockedFile) -> PathBuf {
    let up = "../".repeat(file.path.matches('/').count() + 2);
    format!("{up}blobs/{}", file.blob_name()).into()
}

/// What in a snapshot is not the link to its blob that was published, or is there besides them.
pub fn link_fault(snapshot: &Path, files: &[LockedFile]) -> Option<String> {
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
