//! SHA-256 of files and streams, as lower-case hex: the one hash that images, models and locks speak.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::Path;

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
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok((hex(&hash.finalize()), total)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..read]);
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
}
