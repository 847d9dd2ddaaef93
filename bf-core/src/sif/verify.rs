//! Whether a SIF is still what it was: two digests of any SIF for who keeps a record of it, and what of one of ours is damaged.
//!
//! To sign a SIF is no damage. `apptainer sign` appends an object, enters it in a free place of the table, and changes three numbers of
//! the header: the time of the last change, the number of free places, the length of the data. So a header is looked at as it was before:
//! each of the three is put back if it says what it must with the signatures that are there, and stays as it is if it does not,
//! and is found. The entries and bytes of signatures are the only ones that nothing here covers (a damaged signature no longer
//! verifies, which `apptainer verify` says). Gaps, free places of the table and what lies behind the last object are
//! covered: what `apptainer sif del` leaves of a signature is found.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::format::{DESCRIPTOR_SIZE, HEADER_SIZE, Header};
use super::provenance::{self, Provenance};
use super::read::{Sif, at};
use super::{Object, SifError};
use crate::digest::{hex, of_bytes};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// What to remember of a SIF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SifDigests {
    /// The SHA-256 of the root filesystem's bytes, 64 hex digits.
    pub partition_sha256: String,
    /// The SHA-256 of all the rest but signatures, 64 hex digits.
    pub metadata_sha256: String,
}

/// A part of a SIF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The first 128 bytes.
    Header,
    /// The table of objects.
    Table,
    /// The root filesystem.
    Partition,
    /// Another object: its number and name.
    Object(u32, String),
    /// Bytes that no object has, which must be zero.
    Gap,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("the header"),
            Self::Table => f.write_str("the table of objects"),
            Self::Partition => f.write_str("the root filesystem"),
            Self::Object(id, name) if name.is_empty() => write!(f, "object {id}"),
            Self::Object(id, name) => write!(f, "object {id} ({name})"),
            Self::Gap => f.write_str("what lies between the objects"),
        }
    }
}

/// A part of a SIF that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Which one.
    pub part: Part,
    /// The bytes of the file that it has; of a gap those from the first that is not zero.
    pub bytes: Range<u64>,
}

/// Both digests of a SIF, whoever made it. Reads all of it once.
///
/// The partition's is that of its bytes. The other one is the SHA-256 of `blackfish-sif-metadata-1` and a line feed, and then of: the
/// header as it was before it was signed, with a byte behind it for whether each of its three numbers said what it must (bits 0
/// to 2: change, free places, length); what lies between header and end of the last object that is no signature, in the file's order,
/// without the partition, with zeros for entries and bytes of signatures; and of each piece of 256 KiB behind that and outside of
/// signatures that is not all zero its place (8 bytes, little endian) and bytes.
///
/// # Errors
/// It is no SIF, it has no root filesystem, or it cannot be read.
pub fn digests(mut file: &File) -> Result<SifDigests, SifError> {
    let length = file.metadata()?.len();
    digests_of(&mut file, length)
}

pub(super) fn digests_of(file: &mut (impl Read + Seek), length: u64) -> Result<SifDigests, SifError> {
    let sif = Sif::read(file, length)?;
    sif.primary()?;
    let mut partition = Sha256::new();
    let mut metadata = Sha256::new();
    metadata.update(b"blackfish-sif-metadata-1\n");
    let (header, consistent) = unsigned_header(file, &sif)?;
    metadata.update(header);
    metadata.update([consistent]);
    let end = unsigned_end(&sif);
    let mut position = 0;
    for (range, object) in sif.places()? {
        between(file, &sif, position..range.start, end, &mut metadata)?;
        match object {
            None if range.start == 0 => {} // the header
            None => metadata.update(unsigned_table(file, &sif)?),
            Some(object) if object.is_primary() => hash_range(file, length, range.clone(), &mut partition)?,
            Some(object) if object.is_signature() => {
                if range.start < end {
                    zeros(range.end - range.start, &mut metadata);
                }
            }
            Some(_) => hash_range(file, length, range.clone(), &mut metadata)?,
        }
        position = range.end;
    }
    between(file, &sif, position..length, end, &mut metadata)?;
    Ok(SifDigests {
        partition_sha256: hex(&partition.finalize()),
        metadata_sha256: hex(&metadata.finalize()),
    })
}

/// What is damaged of a SIF that Blackfish made, by the record in it. Reads all of it once; empty when it is what it was.
///
/// # Errors
/// It is no SIF any more, Blackfish did not make it, or it cannot be read.
pub fn verify(mut file: &File) -> Result<Vec<Damage>, SifError> {
    let length = file.metadata()?.len();
    verify_of(&mut file, length)
}

pub(super) fn verify_of(file: &mut (impl Read + Seek), length: u64) -> Result<Vec<Damage>, SifError> {
    let sif = Sif::read(file, length)?;
    let Some(object) = record(&sif) else { return Err(SifError::NoProvenance) };
    let mut damage = Vec::new();
    let known = Provenance::intact(&sif.content(file, object)?)?;
    if known.is_none() {
        damage.push(named(object));
    }

    let mut position = 0;
    for (range, place) in sif.places()? {
        let gap = first_byte(file, length, position..range.start)?;
        damage.extend(gap.map(|from| Damage { part: Part::Gap, bytes: from..range.start }));
        position = range.end;
        let Some(known) = &known else { continue };
        let (expected, found, part) = match place {
            None if range.start == 0 => {
                let (header, consistent) = unsigned_header(file, &sif)?;
                let found = if consistent == ALL { of_bytes(&header) } else { String::new() };
                (Some(&known.header_sha256), found, Part::Header)
            }
            None => (Some(&known.table_sha256), of_bytes(&unsigned_table(file, &sif)?), Part::Table),
            Some(other) if other.slot == object.slot || other.is_signature() => continue,
            Some(other) => {
                let mut hash = Sha256::new();
                hash_range(file, length, range.clone(), &mut hash)?;
                let expected = if other.is_primary() {
                    Some(&known.partition_sha256)
                } else {
                    known.object(other.descriptor.id)
                };
                (expected, hex(&hash.finalize()), named(other).part)
            }
        };
        if expected != Some(&found) {
            damage.push(Damage { part, bytes: range });
        }
    }
    let gap = first_byte(file, length, position..length)?;
    damage.extend(gap.map(|from| Damage { part: Part::Gap, bytes: from..length }));
    Ok(damage)
}

/// What the record in a SIF of ours says, whether or not the rest is what it was.
///
/// # Errors
/// There is none, or a byte of it is not what it was.
pub fn provenance(mut file: &File) -> Result<Provenance, SifError> {
    let length = file.metadata()?.len();
    let sif = Sif::read(&mut file, length)?;
    let object = record(&sif).ok_or(SifError::NoProvenance)?;
    Provenance::intact(&sif.content(&mut file, object)?)?.ok_or(SifError::malformed("its record is damaged"))
}

fn record(sif: &Sif) -> Option<&Object> {
    sif.document(provenance::NAME)
}

fn named(object: &Object) -> Damage {
    let part = if object.is_primary() {
        Part::Partition
    } else {
        Part::Object(object.descriptor.id, object.descriptor.name())
    };
    Damage { part, bytes: object.bytes() }
}

/// Where the last object ends that is no signature.
fn unsigned_end(sif: &Sif) -> u64 {
    let objects = sif.objects.iter().filter(|object| !object.is_signature());
    objects.map(|object| object.bytes().end).fold(sif.header.data_offset.max(sif.table().end), u64::max)
}

/// All three numbers of a header say what they must.
const ALL: u8 = 0b111;

/// The header as it was before signatures, and which of the three numbers that signing changes said what they must.
fn unsigned_header(file: &mut (impl Read + Seek), sif: &Sif) -> Result<(Vec<u8>, u8), SifError> {
    let header = &sif.header;
    let newest = |signatures: bool| {
        let counted = sif.objects.iter().filter(|object| signatures || !object.is_signature());
        counted.map(|object| object.descriptor.modified).max()
    };
    let unsigned = sif.objects.iter().filter(|object| !object.is_signature()).count() as u64;
    let free = |used: u64| header.total.checked_sub(used);
    let size = unsigned_end(sif).saturating_sub(header.data_offset);
    let checks = [
        (Header::MODIFIED, newest(true) == Some(header.modified), newest(false).map(i64::to_le_bytes)),
        (
            Header::FREE,
            free(sif.objects.len() as u64) == Some(header.free),
            free(unsigned).map(u64::to_le_bytes),
        ),
        (
            Header::DATA_SIZE,
            header.data_offset.checked_add(header.data_size) == Some(sif.length),
            Some(size.to_le_bytes()),
        ),
    ];
    let mut bytes = at(file, sif.length, 0, HEADER_SIZE)?;
    let mut consistent = 0;
    for (bit, (place, holds, before)) in checks.into_iter().enumerate() {
        if let (true, Some(before)) = (holds, before) {
            consistent |= 1 << bit;
            for (to, from) in bytes.iter_mut().skip(place).zip(before) {
                *to = from;
            }
        }
    }
    Ok((bytes, consistent))
}

/// The table with zeros where signatures are entered.
fn unsigned_table(file: &mut (impl Read + Seek), sif: &Sif) -> Result<Vec<u8>, SifError> {
    let range = sif.table();
    let size = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut table = at(file, sif.length, range.start, size)?;
    let signatures = sif.objects.iter().filter(|object| object.is_signature());
    for slot in signatures.map(|object| object.slot) {
        if let Some(entry) = table.chunks_exact_mut(DESCRIPTOR_SIZE).nth(slot) {
            entry.fill(0);
        }
    }
    Ok(table)
}

/// A gap: all of it as long as an object follows that is no signature, and what is not zero behind that.
fn between(
    file: &mut (impl Read + Seek),
    sif: &Sif,
    gap: Range<u64>,
    end: u64,
    hash: &mut Sha256,
) -> Result<(), SifError> {
    let split = end.clamp(gap.start, gap.end.max(gap.start));
    hash_range(file, sif.length, gap.start..split, hash)?;
    each_chunk(file, sif.length, split..gap.end, |place, bytes| {
        if bytes.iter().any(|byte| *byte != 0) {
            hash.update(place.to_le_bytes());
            hash.update(bytes);
        }
    })
}

/// Where the first byte is that is not zero.
fn first_byte(
    file: &mut (impl Read + Seek),
    length: u64,
    range: Range<u64>,
) -> Result<Option<u64>, SifError> {
    let mut found = None;
    each_chunk(file, length, range, |place, bytes| {
        let first = bytes.iter().position(|byte| *byte != 0);
        found = found.or(first.map(|first| place + first as u64));
    })?;
    Ok(found)
}

fn zeros(mut count: u64, hash: &mut Sha256) {
    let block = [0; 4096];
    while count > 0 {
        let now = usize::try_from(count).unwrap_or(block.len()).min(block.len());
        hash.update(&block[..now]);
        count -= now as u64;
    }
}

/// Adds what is in a range of the file to a hash.
pub(super) fn hash_range(
    file: &mut (impl Read + Seek),
    length: u64,
    range: Range<u64>,
    hash: &mut Sha256,
) -> Result<(), SifError> {
    each_chunk(file, length, range, |_, bytes| hash.update(bytes))
}

fn each_chunk(
    file: &mut (impl Read + Seek),
    length: u64,
    range: Range<u64>,
    mut work: impl FnMut(u64, &[u8]),
) -> Result<(), SifError> {
    if range.is_empty() {
        return Ok(());
    }
    file.seek(SeekFrom::Start(range.start))?;
    let mut left = range.end - range.start;
    let mut buffer = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let place = range.end - left;
        file.read_exact(&mut buffer[..now]).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => SifError::Truncated { bytes: length, needed: range.end },
            _ => SifError::Io(error),
        })?;
        work(place, &buffer[..now]);
        left -= now as u64;
    }
    Ok(())
}
