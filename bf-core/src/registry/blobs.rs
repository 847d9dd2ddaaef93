//! A folder with blobs: `sha256-<hex>` are complete, `sha256-<hex>.partial` are on their way.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;
use nix::fcntl::OFlag;

use super::RegistryError;
use crate::digest;
use crate::image::Digest;
use crate::oci::Descriptor;

/// The folder. Nothing but the blobs is in it; who kills us at any moment leaves what the next run can use.
#[derive(Debug, Clone)]
pub struct BlobStore {
    folder: PathBuf,
}

impl BlobStore {
    /// Uses a folder, and makes it if it is not there.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs_err::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a blob is, or will be, when it is complete.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("sha256-{}", digest.hex()))
    }

    pub(super) fn partial(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("sha256-{}.partial", digest.hex()))
    }

    /// The file of a blob that is complete: it has the right size, and if `verify` is set, it also hashes to its digest.
    /// One that does not is removed.
    pub fn complete(&self, blob: &Descriptor, verify: bool) -> io::Result<Option<PathBuf>> {
        let path = self.path(&blob.digest);
        let length = match fs_err::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => return Err(io::Error::other(format!("{} is no regular file", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let good = length == blob.size && (!verify || digest::of_file(&path)?.0 == blob.digest.hex());
        if good {
            return Ok(Some(path));
        }
        fs_err::remove_file(&path)?;
        Ok(None)
    }

    /// Opens what an earlier run left, or begins; for us alone.
    pub(super) fn begin(&self, digest: &Digest) -> Result<File, RegistryError> {
        let path = self.partial(digest);
        let mut options = fs_err::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // Nothing of ours is a link: what it leads to must not be written.
        let file = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path)?;
        let (file, _) = file.into_parts();
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(RegistryError::Busy { path }),
            // There are filesystems without locks: then two runs at once are the caller's care.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
        }
    }

    /// Gives a verified file its name. Its bytes are on the disk before that: a name is what the next run believes after a power cut.
    pub(super) fn finish(&self, digest: &Digest, file: &File) -> io::Result<PathBuf> {
        let path = self.path(digest);
        file.sync_data()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        fs_err::rename(self.partial(digest), &path)?;
        Ok(path)
    }

    /// Removes what cannot be used.
    pub(super) fn discard(&self, digest: &Digest) -> io::Result<()> {
        match fs_err::remove_file(self.partial(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_place_of_a_blob_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (store, other) = (BlobStore::new(dir.path().join("blobs")).unwrap(), dir.path().join("other"));
        fs_err::write(&other, "other").unwrap();
        let digest: Digest = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
        std::os::unix::fs::symlink(&other, store.partial(&digest)).unwrap();
        store.begin(&digest).unwrap_err();
        fs_err::remove_file(store.partial(&digest)).unwrap();
        store.begin(&digest).unwrap();
    }
}
