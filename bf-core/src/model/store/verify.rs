//! Every file of a revision: the link, the blob, its length, and with all bytes read its hashes. Asks nobody: the name of a blob is its hash.

use std::io;
use std::path::Path;

use super::{blob_link, is_blob_name};
use crate::bounded::{self, Links};
use crate::digest;
use crate::site::{LockedFile, RevisionOf};

/// What is wrong with the bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobFault {
    /// It is not there.
    Missing,
    /// It is no regular file, or cannot be read.
    Unreadable(String),
    /// It has another length: the one it has, and the one it should have, in bytes.
    Length(u64, u64),
    /// Its hash is another one than its name, or than site.lock says.
    Damaged,
}

/// What is wrong with a file of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFault {
    /// The blob.
    Blob(BlobFault),
    /// The link to it: why.
    Link(String),
}

/// Looks at all files of a revision in a model's folder; `full`: reads every byte, and tells `passed` how many. Gives those with a fault.
pub fn faults<'a>(
    folder: &Path,
    own: &RevisionOf<'a>,
    full: bool,
    passed: &dyn Fn(u64),
) -> Vec<(&'a LockedFile, FileFault)> {
    let snapshot = folder.join("snapshots").join(own.commit);
    let mut found = Vec::new();
    for file in own.files {
        let blob = folder.join("blobs").join(file.blob_name());
        if let Some(fault) = blob_fault(&blob, Some(file), full, passed) {
            found.push((file, FileFault::Blob(fault)));
        }
        if let Some(why) = wrong_link(&snapshot, file) {
            found.push((file, FileFault::Link(why)));
        }
    }
    found
}

/// What is wrong with the link of a file in its snapshot.
pub fn wrong_link(snapshot: &Path, file: &LockedFile) -> Option<String> {
    let at = &snapshot.join(&file.path);
    match fs_err::read_link(at) {
        Ok(target) if target == blob_link(file) => None,
        Ok(target) => Some(format!("it leads to {} instead of its blob", target.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("it is missing in the snapshot".into()),
        Err(_) if fs_err::symlink_metadata(at).is_ok() => Some("it is no link to its blob".into()),
        Err(error) => Some(error.to_string()),
    }
}

/// What is wrong with a blob: by `file`, what site.lock says of it, and by its own name, where that is a hash.
pub fn blob_fault(
    blob: &Path,
    file: Option<&LockedFile>,
    full: bool,
    passed: &dyn Fn(u64),
) -> Option<BlobFault> {
    let metadata = match fs_err::symlink_metadata(blob) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(BlobFault::Missing),
        Err(error) => return Some(BlobFault::Unreadable(error.to_string())),
    };
    if !metadata.is_file() {
        return Some(BlobFault::Unreadable(format!("{} is no regular file", blob.display())));
    }
    if let Some(file) = file.filter(|file| file.bytes != metadata.len()) {
        return Some(BlobFault::Length(metadata.len(), file.bytes));
    }
    if !full {
        return None;
    }
    let name = blob.file_name().and_then(|name| name.to_str()).filter(|name| is_blob_name(name));
    let read = || -> io::Result<bool> {
        let mut open = bounded::open(blob, Links::Refuse)?;
        let (sha256, is_named) = if name.is_some_and(|name| name.len() == 40) {
            let (both, _) = digest::copy_named(&mut open, &mut io::sink(), metadata.len())?;
            let is_named = name == Some(both.git.as_str());
            (both.sha256, is_named)
        } else {
            let (sha256, _) = digest::copy(&mut open, &mut io::sink())?;
            let is_named = name.is_none_or(|name| name == sha256);
            (sha256, is_named)
        };
        Ok(is_named && file.is_none_or(|file| file.sha256 == sha256))
    };
    let read = read();
    passed(metadata.len());
    match read {
        Ok(true) => None,
        Ok(false) => Some(BlobFault::Damaged),
        Err(error) => Some(BlobFault::Unreadable(error.to_string())),
    }
}
