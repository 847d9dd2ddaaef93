//! What others have left in a staging folder: runs that were killed, and runs that were paused and go on some day.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use walkdir::WalkDir;

use super::{PublishError, Stage, remove};
use crate::lock::SiteGuard;

/// Moves everything that is not this holder's out of its place, and removes it. Afterwards no rename of an older holder finds what it
/// would publish: neither by its path, which is another one, nor by a folder it has open, which is empty.
pub(super) fn clean(guard: &SiteGuard, staging: &Path) -> Result<(), PublishError> {
    let own = guard.claim();
    for entry in fs_err::read_dir(staging)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str() == Some(&own) {
            continue;
        }
        // If we are the paused ones, the folder may be that of who took over.
        if !name.to_str().is_some_and(|name| guard.is_newer_than(name)) {
            guard.check()?;
        }
        let stage = Stage::new(staging, &own)?;
        let aside = stage.path().join("left");
        match fs_err::rename(entry.path(), &aside) {
            // Either it is gone, or what we move it to.
            Err(error) if error.kind() == ErrorKind::NotFound => guard.check()?,
            // A folder that its owner may not write to cannot be moved: its `..` would change.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => discard(&entry.path())?,
            result => {
                result?;
                discard(&aside)?;
            }
        }
    }
    Ok(())
}

/// Removes a tree, also one in which somebody is still writing: a builder whose bf-admin is paused.
///
/// What an NFS or FUSE client keeps under another name, since a process on this host has it open, may stay until that has ended; it has
/// no name that anybody would publish.
pub(super) fn discard(path: &Path) -> io::Result<()> {
    let mut tries = 0..20;
    loop {
        match remove(path) {
            Err(error) if is_in_use(&error) && holds_only_open_files(path) => return Ok(()),
            Err(error) if is_in_use(&error) && tries.next().is_some() => {
                std::thread::sleep(Duration::from_millis(100));
            }
            result => return result,
        }
    }
}

fn is_in_use(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::ResourceBusy)
}

fn holds_only_open_files(path: &Path) -> bool {
    WalkDir::new(path).follow_links(false).into_iter().all(|entry| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name().to_string_lossy();
            entry.file_type().is_dir() || [".nfs", ".fuse_hidden"].iter().any(|mark| name.starts_with(mark))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_open_may_stay() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        fs_err::create_dir_all(&inner).unwrap();
        for name in [".nfs0001", ".fuse_hidden0001"] {
            fs_err::write(inner.join(name), "").unwrap();
        }
        assert!(holds_only_open_files(dir.path()));
        fs_err::write(inner.join("file"), "").unwrap();
        assert!(!holds_only_open_files(dir.path()));
        let error = fs_err::remove_dir(dir.path().join("a")).unwrap_err();
        assert!(is_in_use(&error), "{error:?}");
    }
}
