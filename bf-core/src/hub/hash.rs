//! What a content hashes to, as the Hub and as we call it.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::{FileHash, RemoteFile};
use crate::digest::hex;

/// Hashes a content that comes in pieces, from its beginning on.
pub(super) struct FileHasher {
    sha256: Sha256,
    /// Where the Hub has only this one.
    git: Option<Sha1>,
    /// Bytes that were hashed.
    at: u64,
}

impl FileHasher {
    pub(super) fn new(file: &RemoteFile) -> Self {
        let git = match &file.hash {
            FileHash::Sha256(_) => None,
            FileHash::GitSha1(_) => Some(Sha1::new_with_prefix(format!("blob {}\0", file.bytes))),
        };
        Self { sha256: Sha256::new(), git, at: 0 }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(git) = &mut self.git {
            git.update(bytes);
        }
        self.at += bytes.len() as u64;
    }

    /// The SHA-256 in hex, if the content is the file's; else what is wrong with it.
    pub(super) fn verdict(&self, file: &RemoteFile) -> Result<String, String> {
        let sha256 = hex(&self.sha256.clone().finalize());
        let found = match &self.git {
            Some(git) => hex(&git.clone().finalize()),
            None => sha256.clone(),
        };
        if found == file.hash.hex() { Ok(sha256) } else { Err(format!("it hashes to {found}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_hashes_the_length_with_the_content() {
        // git hash-object of "hello\n"
        let hash = FileHash::GitSha1("ce013625030ba8dba906f756967f9e9ca394464a".into());
        let file = RemoteFile { path: "a".into(), bytes: 6, hash };
        let mut hasher = FileHasher::new(&file);
        hasher.update(b"hel");
        assert!(hasher.verdict(&file).is_err());
        hasher.update(b"lo\n");
        let sha256 = hasher.verdict(&file).unwrap();
        assert_eq!(sha256, crate::digest::of_bytes(b"hello\n"));
    }
}
