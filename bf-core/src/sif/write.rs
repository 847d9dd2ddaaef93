//! Writes a SIF around a squashfs that somebody else writes: what is small first, then the partition, then a record of it all, and
//! header and table last. Until then the file has no magic, so that one that was not finished is no SIF.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sha2::{Digest as _, Sha256};

use super::format::{
    DATA_OFFSET, DESCRIPTOR_SIZE, DESCRIPTORS, DataType, Descriptor, HEADER_SIZE, Header,
    PARTITION_ALIGNMENT, TABLE_OFFSET,
};
use super::provenance::{self, Hashes};
use super::read::{MAX_DOCUMENT, at};
use super::verify::hash_range;
use super::{Facts, SifError, apptainer, inspect};
use crate::digest::{hex, of_bytes};
use crate::image::Digest;

/// The objects of a SIF that we write.
const OBJECTS: usize = 5;
/// The partition's number among them.
const PARTITION_ID: u32 = 4;

/// A SIF that is being written.
#[derive(Debug)]
pub struct SifWriter<'f> {
    file: &'f File,
    facts: Facts,
    small: Vec<Small>,
    /// Where the last of them ends.
    end: u64,
    partition: u64,
}

/// An object that is in the file already.
#[derive(Debug)]
struct Small {
    kind: DataType,
    name: &'static str,
    offset: u64,
    size: u64,
    sha256: String,
}

/// A SIF that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The file's length, in bytes.
    pub bytes: u64,
    /// The SHA-256 of its squashfs, 64 hex digits.
    pub partition_sha256: String,
}

impl<'f> SifWriter<'f> {
    /// Begins a SIF in `file`, which can be read as well; what it held is lost. Writes what is known before the root filesystem is.
    ///
    /// # Errors
    /// The file cannot be written, or a document would be longer than [`MAX_DOCUMENT`].
    pub fn new(file: &'f File, facts: Facts) -> Result<Self, SifError> {
        let documents = [
            (DataType::DEFINITION, "", apptainer::definition(&facts).into_bytes()),
            (DataType::JSON, inspect::NAME, inspect::metadata(&facts)),
            (DataType::JSON, "oci-config.json", facts.oci.to_string().into_bytes()),
        ];
        file.set_len(0)?;
        let mut small = Vec::new();
        let mut end = DATA_OFFSET;
        for (kind, name, bytes) in documents {
            let size = bytes.len() as u64;
            if size > MAX_DOCUMENT {
                return Err(SifError::TooLong { what: "the image's configuration", limit: MAX_DOCUMENT });
            }
            file.write_all_at(&bytes, end)?;
            small.push(Small { kind, name, offset: end, size, sha256: of_bytes(&bytes) });
            end += size;
        }
        let partition = end.next_multiple_of(PARTITION_ALIGNMENT);
        Ok(Self { file, facts, small, end, partition })
    }

    /// Where the squashfs belongs.
    pub fn partition_offset(&self) -> u64 {
        self.partition
    }

    /// Completes the file around a squashfs of `size` bytes at [`Self::partition_offset`]. `sha256` is its digest
    /// where that is known; else it is read once more. Nothing is flushed: that is for who gives the file its name.
    ///
    /// # Errors
    /// There is no squashfs of that size, or the file cannot be read or written.
    pub fn finish(self, size: u64, sha256: Option<&Digest>) -> Result<Finished, SifError> {
        let Self { file, facts, small, end, partition } = self;
        let behind =
            partition.checked_add(size).ok_or(SifError::malformed("its root filesystem has no end"))?;
        let length = file.metadata()?.len();
        if length < behind {
            return Err(SifError::Truncated { bytes: length, needed: behind });
        }
        if size < 96 || at(&mut &*file, length, partition, 4)? != b"hsqs" {
            return Err(SifError::malformed("no squashfs was written into it"));
        }
        let partition_sha256 = if let Some(sha256) = sha256 {
            sha256.hex().to_owned()
        } else {
            let mut hash = Sha256::new();
            hash_range(&mut &*file, length, partition..behind, &mut hash)?;
            hex(&hash.finalize())
        };

        let mut entries = Vec::new();
        let mut id = 0;
        for one in &small {
            id += 1;
            entries.push(
                Descriptor::new(one.kind, id, one.offset, one.size, one.size, facts.created).named(one.name),
            );
        }
        let code = facts.architecture.code();
        let gap = partition - end;
        let entry =
            Descriptor::new(DataType::PARTITION, PARTITION_ID, partition, size, size + gap, facts.created);
        entries.push(entry.primary(code));

        // The record holds digests of the header and the table, which hold its length, which its digests do not change.
        let objects: Vec<&str> = small.iter().map(|one| one.sha256.as_str()).collect();
        let mut hashes = Hashes { partition: partition_sha256.clone(), ..Hashes::default() };
        let size = provenance::document(&facts, &objects, &hashes).len() as u64;
        let entry = Descriptor::new(DataType::JSON, PARTITION_ID + 1, behind, size, size, facts.created);
        entries.push(entry.named(provenance::NAME));
        let bytes = behind + size;
        let header = Header::new(code, uuid(&facts), facts.created, OBJECTS, bytes - DATA_OFFSET).encode();
        let mut table = vec![0; DESCRIPTORS * DESCRIPTOR_SIZE];
        for (slot, entry) in table.chunks_exact_mut(DESCRIPTOR_SIZE).zip(&entries) {
            slot.copy_from_slice(&entry.encode());
        }
        (hashes.header, hashes.table) = (of_bytes(&header), of_bytes(&table));
        let record = provenance::document(&facts, &objects, &hashes);
        if record.len() as u64 != size {
            return Err(SifError::malformed("its record has two lengths"));
        }
        file.write_all_at(&record, behind)?;
        file.set_len(bytes)?;
        file.write_all_at(&table, TABLE_OFFSET)?;
        file.write_all_at(&header, 0)?;
        Ok(Finished { bytes, partition_sha256 })
    }
}

/// An id that is the same whenever the same image is made into a SIF in the same way, in the form of a random one (version 4).
fn uuid(facts: &Facts) -> [u8; 16] {
    let Facts { compression, tool, .. } = facts;
    let manifest = facts.manifest.as_ref().unwrap_or(&facts.config);
    let digest = Sha256::digest(format!("blackfish-sif-id-1\n{manifest}\n{compression}\n{tool}\n"));
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

const _: () = assert!(HEADER_SIZE as u64 <= TABLE_OFFSET);
