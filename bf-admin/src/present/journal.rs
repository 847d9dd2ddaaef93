//! What a check of every byte has behind it, so that the next one goes on where this one was interrupted.
//!
//! `<cache>/.verify/journal`, of the cache's owner alone: a line of JSON that names the format, then one for each file that was read and
//! found right. What is believed of it is bounded, and only what nobody else could have written. It is a help for one check, and not a
//! store of results: a check that ends removes it.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bf_core::site::Layout;
use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

/// More than this is not read and not written, in bytes: some 300 000 files.
const MOST: u64 = 64 << 20;

/// A check that was interrupted longer ago than this, in seconds, begins again: it is to say how things are.
const OLDEST: i64 = 7 * 86_400;

/// A file that was changed so shortly before the check, in seconds of the file server, is read again: another change within the same tick of
/// its clock could not be seen.
const TICK: i64 = 2;

/// What group and others may do.
const OTHERS: u32 = 0o077;

const HEADER: &str = "{\"schema\":1}";

/// By what it is seen that a file is the same as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Likewise. No program can set it.
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file that was read, and what its SHA-256 was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Verified {
    pub(super) file: Stamp,
    pub(super) sha256: String,
}

/// The journal of a check that is going on.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    /// When it was opened, in seconds of the file server.
    since: i64,
    /// What is written to, and its length; nothing after a write has failed.
    file: Mutex<Option<(File, u64)>>,
}

impl Journal {
    /// Opens or begins the journal of a cache, and gives what an interrupted check has left in it. Nothing for who may not write there: his
    /// checks cannot be resumed, and that is all.
    pub(super) fn open(layout: &Layout) -> Option<(Self, BTreeSet<Verified>)> {
        let folder = layout.verify();
        let owner = fs_err::metadata(layout.root()).ok()?.uid();
        private(&folder, owner).ok()?;
        let path = folder.join("journal");
        // What cannot be believed makes way for a new one, once.
        Self::take(&path, owner).ok().flatten().or_else(|| {
            fs_err::remove_file(&path).ok()?;
            Self::take(&path, owner).ok().flatten()
        })
    }

    /// Nothing when what is there cannot be believed.
    fn take(path: &Path, owner: u32) -> io::Result<Option<(Self, BTreeSet<Verified>)>> {
        let mut file = fs_err::OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(O_NOFOLLOW | O_NONBLOCK) // a link would lead elsewhere, a pipe would hold us up
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file()
            || metadata.nlink() != 1
            || !is_private(&metadata, owner)
            || metadata.len() > MOST
        {
            return Ok(None);
        }
        let mut text = Vec::new();
        (&mut file).take(MOST).read_to_end(&mut text)?;
        let mut lines = text.split(|byte| *byte == b'\n');
        if text.is_empty() {
            hand_over(path, owner);
            file.write_all(HEADER.as_bytes())?;
        } else if lines.next() != Some(HEADER.as_bytes()) {
            return Ok(None);
        }
        // Ends what a kill has cut off, and tells the time of the file server.
        file.write_all(b"\n")?;
        file.sync_data()?;
        let now = file.metadata()?;
        if now.mtime().saturating_sub(metadata.mtime()) > OLDEST {
            return Ok(None);
        }
        let is_digest = |line: &Verified| {
            line.sha256.len() == 64 && line.sha256.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let known = lines.filter_map(|line| serde_json::from_slice(line).ok()).filter(is_digest).collect();
        let (path, file) = (path.to_owned(), Mutex::new(Some((file, now.len()))));
        Ok(Some((Self { path, since: now.mtime(), file }, known)))
    }

    /// Notes a file that was read and found right, unless it was changed just now.
    pub(super) fn note(&self, verified: &Verified) {
        let Stamp { modified, changed, .. } = verified.file;
        if modified.0.max(changed.0) >= self.since.saturating_sub(TICK) {
            return;
        }
        let Ok(mut line) = serde_json::to_vec(verified) else { return };
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((open, length)) = file.as_mut() {
            *length += line.len() as u64;
            // In one piece, since another check may write to the same file. What cannot be noted is read again.
            if *length > MOST || open.write_all(&line).is_err() {
                *file = None;
            }
        }
    }

    /// Removes it: the check is done, and the next one reads everything.
    pub(crate) fn finish(self) -> io::Result<()> {
        match fs_err::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Another check may have begun one of its own.
        let _ = self.path.parent().map(std::fs::remove_dir);
        Ok(())
    }
}

/// Makes the folder if it is missing, and refuses one that somebody else can write to.
fn private(folder: &Path, owner: u32) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => hand_over(folder, owner),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let metadata = fs_err::symlink_metadata(folder)?;
    if metadata.is_dir() && is_private(&metadata, owner) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} is not private", folder.display())))
}

/// Whether only those could write to it who can change the cache anyway.
fn is_private(metadata: &Metadata, owner: u32) -> bool {
    let known = [owner, 0, geteuid().as_raw()];
    known.contains(&metadata.uid()) && metadata.mode() & OTHERS == 0
}

/// Gives what root has made in somebody else's cache to him. Where that is not allowed, it stays root's, and he begins one of his own.
fn hand_over(path: &Path, owner: u32) {
    if geteuid().is_root() && owner != 0 {
        let _ = fs_err::os::unix::fs::lchown(path, Some(owner), None);
    }
}

#[cfg(test)]
mod tests;
