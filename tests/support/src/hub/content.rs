//! What a file of the hub holds: bytes, noise that is made as it is sent, or a file on disk.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, json};
use sha2::{Digest, Sha256};

use super::sha1::git_blob;
use crate::images::Noise;

/// Noise comes in pages; each begins with its seed and number, so that no piece of it fits anywhere else.
const PAGE: usize = 4096;
/// So many pages differ in all their bytes.
const PAGES: usize = 256;

/// What a file holds. Cheap to clone; nothing but what was given as bytes is held in memory.
#[derive(Clone)]
pub struct Content(Arc<Inner>);

struct Inner {
    source: Source,
    length: u64,
    sha256: OnceLock<String>,
    git_sha1: OnceLock<String>,
}

enum Source {
    /// These bytes, and noise from there to the end.
    Recipe { head: Vec<u8>, seed: u64 },
    /// All of this file.
    File(fs_err::File),
}

impl Content {
    /// These bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let head = bytes.into();
        Self::new(head.len() as u64, Source::Recipe { head, seed: 0 })
    }

    /// So many bytes of noise, other ones for each seed.
    pub fn noise(seed: u64, length: u64) -> Self {
        Self::new(length, Source::Recipe { head: Vec::new(), seed })
    }

    /// A valid file in the format safetensors: a header that names these tensors (name, kind as `BF16`, shape), and noise.
    pub fn safetensors(seed: u64, tensors: &[(&str, &str, &[u64])]) -> Self {
        let (mut header, mut end) = (Map::new(), 0);
        header.insert("__metadata__".into(), json!({"format": "pt"}));
        for (name, kind, shape) in tensors {
            let bits: u64 = kind
                .trim_start_matches(char::is_alphabetic)
                .split('_')
                .next()
                .map_or(8, |digits| digits.parse().unwrap_or(8));
            let begin = end;
            end += shape.iter().product::<u64>() * bits / 8;
            header
                .insert((*name).into(), json!({"dtype": kind, "shape": shape, "data_offsets": [begin, end]}));
        }
        let mut text = serde_json::Value::Object(header).to_string();
        while !text.len().is_multiple_of(8) {
            text.push(' ');
        }
        let mut head = (text.len() as u64).to_le_bytes().to_vec();
        head.extend(text.as_bytes());
        Self::new(head.len() as u64 + end, Source::Recipe { head, seed })
    }

    /// All of a file on disk, which must stay as it is.
    pub fn file(path: &Path) -> Self {
        let file = fs_err::File::open(path).expect("the content");
        Self::new(file.metadata().expect("its length").len(), Source::File(file))
    }

    fn new(length: u64, source: Source) -> Self {
        Self(Arc::new(Inner { source, length, sha256: OnceLock::new(), git_sha1: OnceLock::new() }))
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.0.length
    }

    /// SHA-256, 64 hex digits. Read through once, then known.
    pub fn sha256(&self) -> String {
        let compute = || {
            let mut hash = Sha256::new();
            self.each_block(|block| hash.update(block));
            bf_core::digest::hex(&hash.finalize())
        };
        self.0.sha256.get_or_init(compute).clone()
    }

    /// What git calls it, 40 hex digits. Read through once, then known. For small files: all of it is held meanwhile.
    pub fn git_sha1(&self) -> String {
        self.0.git_sha1.get_or_init(|| git_blob(&self.to_vec())).clone()
    }

    /// All of it. For small files.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::new();
        self.each_block(|block| all.extend_from_slice(block));
        all
    }

    /// Writes all of it to a file.
    pub fn write_to(&self, path: &Path) {
        let mut file = fs_err::File::create(path).expect("a file");
        self.each_block(|block| file.write_all(block).expect("room"));
    }

    /// Whether a file holds just this. Says where it first differs.
    pub fn same_as(&self, path: &Path) -> Result<(), String> {
        let mut file = fs_err::File::open(path).map_err(|error| error.to_string())?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        if length != self.length() {
            return Err(format!("{} has {length} bytes, not {}", path.display(), self.length()));
        }
        let (mut at, mut found, mut other) = (0, vec![0; 1 << 16], None);
        self.each_block(|block| {
            for piece in block.chunks(found.len()) {
                let own = &mut found[..piece.len()];
                if other.is_none() && (file.read_exact(own).is_err() || own != piece) {
                    other = Some(at);
                }
                at += piece.len();
            }
        });
        other.map_or(Ok(()), |at| Err(format!("{} differs near byte {at}", path.display())))
    }

    fn each_block(&self, mut take: impl FnMut(&[u8])) {
        let (mut at, mut buffer) = (0, vec![0; 1 << 18]);
        while at < self.length() {
            let count = usize::try_from(self.length() - at).unwrap_or(usize::MAX).min(buffer.len());
            self.read_at(at, &mut buffer[..count]).expect("the content");
            take(&buffer[..count]);
            at += count as u64;
        }
    }

    /// Fills a buffer from a place on.
    pub(super) fn read_at(&self, at: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        match &self.0.source {
            Source::File(file) => file.file().read_exact_at(buffer, at),
            Source::Recipe { head, seed } => {
                let begin = usize::try_from(at).unwrap_or(usize::MAX).min(head.len());
                let count = buffer.len().min(head.len() - begin);
                buffer[..count].copy_from_slice(&head[begin..begin + count]);
                noise_at(*seed, at + count as u64, &mut buffer[count..]);
                Ok(())
            }
        }
    }

    /// The file, if it is one.
    pub(super) fn as_file(&self) -> Option<&std::fs::File> {
        match &self.0.source {
            Source::File(file) => Some(file.file()),
            Source::Recipe { .. } => None,
        }
    }
}

/// Noise from any place on, as quick as copying.
fn noise_at(seed: u64, mut at: u64, mut buffer: &mut [u8]) {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    let pattern = PATTERN.get_or_init(|| {
        let mut bytes = vec![0; PAGE * PAGES];
        Noise::new(1).fill(&mut bytes);
        bytes
    });
    while !buffer.is_empty() {
        let (page, within) = (at / PAGE as u64, usize::try_from(at % PAGE as u64).unwrap_or(0));
        let count = buffer.len().min(PAGE - within);
        let begin = usize::try_from(page % PAGES as u64).unwrap_or(0) * PAGE;
        let mut mark = [0; 16];
        mark[..8].copy_from_slice(&seed.to_le_bytes());
        mark[8..].copy_from_slice(&page.to_le_bytes());
        let (own, rest) = buffer.split_at_mut(count);
        own.copy_from_slice(&pattern[begin + within..begin + within + count]);
        for (byte, mark) in own.iter_mut().zip(mark.iter().skip(within)) {
            *byte ^= mark;
        }
        (buffer, at) = (rest, at + count as u64);
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.length())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::bytes(text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::bytes(text)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        Self::bytes(bytes)
    }
}

impl From<serde_json::Value> for Content {
    fn from(value: serde_json::Value) -> Self {
        Self::bytes(value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_the_same_alone_as_within_the_whole_and_fits_nowhere_else() {
        let content = Content::safetensors(7, &[("a", "BF16", &[300, 40]), ("b", "F8_E4M3", &[5])]);
        let all = content.to_vec();
        assert_eq!(all.len() as u64, content.length());
        for (at, count) in [(0, 9), (3, 5000), (4090, 20), (20_000, 33)] {
            let mut piece = vec![0; count];
            content.read_at(at as u64, &mut piece).unwrap();
            assert_eq!(piece, all[at..at + count], "{at}");
        }
        let noise = Content::noise(1, 3 << 20).to_vec();
        assert_ne!(noise[..1 << 20], noise[1 << 20..2 << 20]);
        assert_ne!(Content::noise(2, 100).sha256(), Content::noise(3, 100).sha256());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        content.write_to(&path);
        let file = Content::file(&path);
        assert_eq!((file.sha256(), file.length()), (content.sha256(), content.length()));
        assert_eq!(content.same_as(&path), Ok(()));
        let other = Content::noise(1, content.length());
        assert!(other.same_as(&path).unwrap_err().contains("differs"));
    }
}
