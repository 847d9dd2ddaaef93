//! What a SIF file says of itself, in short: where its root filesystem is and what it was made of. Reads a few kilobytes of any
//! length of file.

pub use crate::sif::SifError;

use std::io::{Read, Seek};
use std::path::Path;

use super::Reference;
use crate::sif::format::{DataType, HEADER_SIZE};
use crate::sif::read::at;
use crate::sif::{Architecture, Object, Sif};

/// As much of a definition as is read: its first lines say where it comes from.
const MAX_DEFINITION: u64 = 4096;

/// The filesystem of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filesystem {
    /// What images that were pulled have.
    Squashfs,
    /// Anything else that Apptainer can run: ext3, encrypted.
    Other,
}

/// The partition with the root filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primary {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is.
    pub size: u64,
    /// Its filesystem.
    pub filesystem: Filesystem,
    /// What it runs on, as `uname -m` says it; nothing where the code is not known.
    pub architecture: Option<&'static str>,
    /// `gzip`, `zstd`, ..., of a squashfs.
    pub compression: Option<&'static str>,
}

impl Primary {
    fn of(object: &Object) -> Self {
        Self {
            offset: object.descriptor.offset,
            size: object.descriptor.size,
            filesystem: if object.is_squashfs() { Filesystem::Squashfs } else { Filesystem::Other },
            architecture: object
                .descriptor
                .partition()
                .and_then(|(_, _, code)| Architecture::from_code(code))
                .map(Architecture::machine),
            compression: None,
        }
    }
}

/// What a whole SIF says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The file's length.
    pub bytes: u64,
    /// How many objects it holds.
    pub objects: usize,
    /// The root filesystem.
    pub primary: Primary,
    /// What it was made of, where Apptainer pulled it from a registry.
    pub source: Option<Reference>,
    /// 12 hex digits that stand for it, made of its header, which holds a random id: not a digest of its content.
    pub id: String,
}

/// Reads the SIF at `path`.
pub fn read(path: &Path) -> Result<Header, SifError> {
    // To open a pipe is to wait for its writer.
    if !fs_err::metadata(path)?.is_file() {
        return Err(SifError::NotAFile);
    }
    let mut file = fs_err::File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(SifError::NotAFile);
    }
    parse(&mut file, metadata.len())
}

/// Reads a SIF of `bytes` bytes.
pub fn parse(file: &mut (impl Read + Seek), bytes: u64) -> Result<Header, SifError> {
    let sif = Sif::read(file, bytes)?;
    let definition = sif.objects.iter().find(|object| object.descriptor.kind == DataType::DEFINITION);
    let source = match definition {
        Some(object) => {
            let size = usize::try_from(object.descriptor.size.min(MAX_DEFINITION)).unwrap_or_default();
            pulled_from(&at(file, bytes, object.descriptor.offset, size)?)
        }
        None => None,
    };
    let mut primary = Primary::of(sif.primary()?);
    if primary.filesystem == Filesystem::Squashfs {
        primary.compression = Some(squashfs(file, bytes, &primary)?);
    }
    let id = crate::digest::of_bytes(&at(file, bytes, 0, HEADER_SIZE)?)[..12].to_owned();
    Ok(Header { bytes, objects: sif.objects.len(), primary, source, id })
}

/// The registry's image that a definition begins with.
fn pulled_from(definition: &[u8]) -> Option<Reference> {
    let text = String::from_utf8_lossy(definition);
    let value = |key: &str| {
        let of = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case(key).then(|| value.trim().to_owned())
        };
        text.lines().find_map(of)
    };
    if !value("bootstrap")?.eq_ignore_ascii_case("docker") {
        return None;
    }
    value("from")?.parse().ok()
}

/// How a squashfs is compressed; that it is one, and not longer than its partition.
fn squashfs(file: &mut (impl Read + Seek), bytes: u64, primary: &Primary) -> Result<&'static str, SifError> {
    const SUPERBLOCK: usize = 96;
    const COMPRESSIONS: [&str; 6] = ["gzip", "lzma", "lzo", "xz", "lz4", "zstd"];
    if primary.size < SUPERBLOCK as u64 {
        return Err(SifError::malformed("its root filesystem is empty"));
    }
    let block = at(file, bytes, primary.offset, SUPERBLOCK)?;
    if block[..4] != *b"hsqs" {
        return Err(SifError::malformed("its root filesystem is not the squashfs that it should be"));
    }
    let used = block[40..48].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    if used > primary.size {
        return Err(SifError::malformed("its root filesystem is cut off"));
    }
    let kind = usize::from(u16::from_le_bytes([block[20], block[21]]));
    let known = kind.checked_sub(1).and_then(|index| COMPRESSIONS.get(index));
    known.copied().ok_or(SifError::malformed("its root filesystem is compressed in a way that is not known"))
}

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
