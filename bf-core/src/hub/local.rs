//! What this machine has of a file of the Hub, whole or in parts.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::RemoteFile;
use super::hash::FileHasher;
use super::spans::Spans;
use crate::bounded::{self, Links};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

impl RemoteFile {
    /// Whether a folder of blobs has a file of this name and length. Nothing of it is read.
    pub fn seems_in(&self, blobs: &Path) -> bool {
        fs_err::symlink_metadata(blobs.join(self.hash.hex()))
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == self.bytes)
    }

    /// The SHA-256 of its blob in a folder, in hex, if that is there and is what its name says. All of it is read.
    pub fn sha256_in(&self, blobs: &Path) -> io::Result<Option<String>> {
        if !self.seems_in(blobs) {
            return Ok(None);
        }
        let mut file = bounded::open(blobs.join(self.hash.hex()), Links::Refuse)?;
        let mut hash = FileHasher::new(self);
        let mut buffer = vec![0; CHUNK];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => hash.update(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(hash.verdict(self).ok().filter(|_| hash.at() == self.bytes))
    }

    /// Bytes of it that [`super::Hub::fetch`] has left in a folder. What cannot be read counts for nothing.
    pub fn begun_in(&self, store: &Path) -> u64 {
        let name = self.hash.hex();
        if self.seems_in(store) {
            return self.bytes;
        }
        let partial = fs_err::symlink_metadata(store.join(format!("{name}.partial")));
        let Some(partial) = partial.ok().filter(std::fs::Metadata::is_file) else { return 0 };
        let length = partial.len();
        if length > self.bytes {
            return 0;
        }
        let spans = Spans::load(&store.join(format!("{name}.ranges")), self.bytes, length);
        spans.map_or(0, |spans| spans.done())
    }
}

#[cfg(test)]
mod tests {
    use super::super::FileHash;
    use super::*;

    #[test]
    fn what_is_there_is_told_by_its_content_and_what_is_begun_by_its_length() {
        let dir = tempfile::tempdir().unwrap();
        let hash = FileHash::GitSha1("ce013625030ba8dba906f756967f9e9ca394464a".into()); // of "hello\n"
        let file = RemoteFile { path: "a".into(), bytes: 6, hash };
        let at = dir.path().join(file.hash.hex());
        assert_eq!((file.sha256_in(dir.path()).unwrap(), file.begun_in(dir.path())), (None, 0));
        fs_err::write(at.with_extension("partial"), "hel").unwrap();
        assert_eq!((file.seems_in(dir.path()), file.begun_in(dir.path())), (false, 3));
        fs_err::write(&at, "hellO\n").unwrap();
        assert_eq!((file.seems_in(dir.path()), file.sha256_in(dir.path()).unwrap()), (true, None));
        fs_err::write(&at, "hello\n").unwrap();
        assert_eq!(file.sha256_in(dir.path()).unwrap(), Some(crate::digest::of_bytes(b"hello\n")));
        assert_eq!(file.begun_in(dir.path()), 6);
    }
}
