//! SHA-256 of files and streams, as lower-case hex: the one hash that images, models and locks speak. And the names that git gives to
//! contents, by which the Hub calls small files.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::bounded::{self, Links};

/// Bytes read at once: large enough that system calls do not matter, small enough for the processor's cache.
const CHUNK: usize = 256 * 1024;

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The SHA-256 of some bytes, 64 hex digits.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of a file and its length in bytes.
pub fn of_file(path: &Path) -> io::Result<(String, u64)> {
    copy(&mut bounded::open(path, Links::Follow)?, &mut io::sink())
}

/// Copies `from` to `to`, hashing what passes: the SHA-256 and the number of bytes.
pub fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<(String, u64)> {
    let mut hash = Sha256::new();
    let total = pass(from, to, &mut |bytes| hash.update(bytes))?;
    Ok((hex(&hash.finalize()), total))
}

/// The digests of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// SHA-256, 64 hex digits.
    pub sha256: String,
    /// What git calls it, 40 hex digits: SHA-1 of `blob LENGTH`, a zero byte and the content.
    pub git: String,
}

/// As [`copy`], of a content of `bytes` bytes, with both of its names, in one pass. What turns out to be longer or shorter has another name in
/// git than the one that is given; the number of bytes tells.
pub fn copy_named(from: &mut impl Read, to: &mut impl Write, bytes: u64) -> io::Result<(Names, u64)> {
    let (mut sha256, mut git) = (Sha256::new(), Sha1::new());
    git.update(format!("blob {bytes}\0"));
    let total = pass(from, to, &mut |bytes| {
        sha256.update(bytes);
        git.update(bytes);
    })?;
    Ok((Names { sha256: hex(&sha256.finalize()), git: hex(&git.finalize()) }, total))
}

fn pass(from: &mut impl Read, to: &mut impl Write, hash: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        total += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_hash_is_the_published_one() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(of_bytes(b""), empty);
        assert_eq!(copy(&mut io::empty(), &mut io::sink()).unwrap(), (empty.to_owned(), 0));
    }

    #[test]
    fn a_content_has_the_name_that_git_gives_it() {
        // printf 'hello\n' | git hash-object --stdin
        let (names, bytes) = copy_named(&mut &b"hello\n"[..], &mut io::sink(), 6).unwrap();
        assert_eq!((names.git.as_str(), bytes), ("ce013625030ba8dba906f756967f9e9ca394464a", 6));
        assert_eq!(names.sha256, of_bytes(b"hello\n"));
    }
}
