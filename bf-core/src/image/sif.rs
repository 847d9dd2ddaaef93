//! What a SIF file says of itself: header, descriptors, the partition with the root filesystem. Reads a few kilobytes of any
//! length of file, and believes nothing before it was compared with the file's length.

mod descriptor;
mod error;

pub use descriptor::{Filesystem, Primary};
pub use error::SifError;

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::Reference;
use descriptor::Descriptor;

/// Bytes of the header.
const HEADER: usize = 128;
/// Where the magic is, behind the line that lets a SIF be run.
const MAGIC_AT: usize = 32;
const MAGIC: &[u8] = b"SIF_MAGIC\0";
const VERSION: &[u8] = b"01\0";
/// Apptainer makes room for 48; a number above this is no SIF's.
const MAX_DESCRIPTORS: u64 = 4096;
/// As much of a definition as is read: its first lines say where it comes from.
const MAX_DEFINITION: u64 = 4096;

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
    let header = at(file, bytes, 0, HEADER).map_err(|error| match error {
        SifError::Truncated { .. } => SifError::NotASif, // too short to tell
        other => other,
    })?;
    if header[MAGIC_AT..MAGIC_AT + MAGIC.len()] != *MAGIC {
        return Err(SifError::NotASif);
    }
    if header[42..45] != *VERSION {
        return Err(SifError::Unsupported);
    }
    let number = |index: usize| natural(&header, 64 + 8 * index);
    let (total, from) = (number(3)?, number(4)?);
    let needed = number(6)?.checked_add(number(7)?).ok_or(SifError::malformed("its data has no end"))?;
    if bytes < needed {
        return Err(SifError::Truncated { bytes, needed });
    }
    if total > MAX_DESCRIPTORS {
        return Err(SifError::malformed("it has room for more objects than any SIF"));
    }
    let size = usize::try_from(total).unwrap_or(usize::MAX).saturating_mul(Descriptor::SIZE);
    let table = at(file, bytes, from, size)?;
    let mut objects = 0;
    let (mut primary, mut source) = (None, None);
    for raw in table.chunks_exact(Descriptor::SIZE) {
        let Some(object) = Descriptor::read(raw)? else { continue };
        objects += 1;
        let end =
            object.offset.checked_add(object.size).ok_or(SifError::malformed("an object has no end"))?;
        if bytes < end {
            return Err(SifError::Truncated { bytes, needed: end });
        }
        if object.kind == Descriptor::DEFINITION && source.is_none() {
            let size = usize::try_from(object.size.min(MAX_DEFINITION)).unwrap_or_default();
            source = pulled_from(&at(file, bytes, object.offset, size)?);
        }
        if object.primary.is_some() && primary.is_some() {
            return Err(SifError::malformed("it has two root filesystems"));
        }
        primary = primary.or(object.primary);
    }
    let mut primary = primary.ok_or(SifError::malformed("it has no root filesystem"))?;
    if primary.filesystem == Filesystem::Squashfs {
        primary.compression = Some(squashfs(file, bytes, &primary)?);
    }
    let id = crate::digest::of_bytes(&header)[..12].to_owned();
    Ok(Header { bytes, objects, primary, source, id })
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
    if natural(&block, 40)? > primary.size {
        return Err(SifError::malformed("its root filesystem is cut off"));
    }
    let kind = usize::from(u16::from_le_bytes([block[20], block[21]]));
    let known = kind.checked_sub(1).and_then(|index| COMPRESSIONS.get(index));
    known.copied().ok_or(SifError::malformed("its root filesystem is compressed in a way that is not known"))
}

/// `size` bytes at `from`.
fn at(file: &mut (impl Read + Seek), bytes: u64, from: u64, size: usize) -> Result<Vec<u8>, SifError> {
    let end = from.checked_add(size as u64).ok_or(SifError::malformed("a part of it has no end"))?;
    if bytes < end {
        return Err(SifError::Truncated { bytes, needed: end });
    }
    let mut buffer = vec![0; size];
    file.seek(SeekFrom::Start(from))?;
    file.read_exact(&mut buffer).map_err(|error| match error.kind() {
        // It became shorter while we read it.
        io::ErrorKind::UnexpectedEof => SifError::Truncated { bytes, needed: end },
        _ => SifError::Io(error),
    })?;
    Ok(buffer)
}

/// The signed number of 8 bytes at `at`, which must not be negative.
fn natural(bytes: &[u8], at: usize) -> Result<u64, SifError> {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::try_from(i64::from_le_bytes(raw))
        .map_err(|_| SifError::malformed("a length or place in it is negative"))
}

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
