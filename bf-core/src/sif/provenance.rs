//! The record that our SIFs carry of what they were made of and of their own content: the object `blackfish-provenance.json`.

use serde::{Deserialize, Serialize};

use super::{Facts, SifError};
use crate::digest::of_bytes;
use crate::image::{Digest, Reference};

/// The object's name.
pub(super) const NAME: &str = "blackfish-provenance.json";
/// The version of what is in it.
const SCHEMA: u32 = 1;
/// What stands for a digest that is not known yet.
const UNKNOWN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What is in the record. All digests without a prefix are 64 hex digits of a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// 1.
    pub schema: u32,
    /// What the image is called.
    pub reference: Reference,
    /// What its name stood for in its registry: the digest of its manifest, or of the index that has it.
    pub source: Option<Digest>,
    /// The digest of its manifest; archives of old have none.
    pub manifest: Option<Digest>,
    /// The digest of its configuration.
    pub config: Digest,
    /// The digests of its layers in the registry.
    pub layers: Vec<Digest>,
    /// The digests of its layers as they are unpacked.
    pub diff_ids: Vec<Digest>,
    /// How the squashfs is compressed.
    pub compression: String,
    /// The version of Blackfish that made the SIF.
    pub tool: String,
    /// Seconds since 1970.
    pub created: i64,
    /// Of the squashfs.
    pub partition_sha256: String,
    /// Of the first 128 bytes, as they were before anything was signed.
    pub header_sha256: String,
    /// Of the table, as it was before anything was signed.
    pub table_sha256: String,
    /// Of the objects in front of the partition, in their order.
    pub objects_sha256: Vec<String>,
    /// Of this document, with zeros for this digest.
    pub self_sha256: String,
}

/// What is known of a SIF only when it is complete.
pub(super) struct Hashes {
    pub(super) partition: String,
    pub(super) header: String,
    pub(super) table: String,
}

impl Default for Hashes {
    fn default() -> Self {
        Self { partition: UNKNOWN.into(), header: UNKNOWN.into(), table: UNKNOWN.into() }
    }
}

/// The record's bytes. Its length is the same for all hashes.
pub(super) fn document(facts: &Facts, objects: &[&str], hashes: &Hashes) -> Vec<u8> {
    let mut record = Provenance {
        schema: SCHEMA,
        reference: facts.reference.clone(),
        source: facts.source.clone(),
        manifest: facts.manifest.clone(),
        config: facts.config.clone(),
        layers: facts.layers.clone(),
        diff_ids: facts.diff_ids.clone(),
        compression: facts.compression.clone(),
        tool: facts.tool.clone(),
        created: facts.created,
        partition_sha256: hashes.partition.clone(),
        header_sha256: hashes.header.clone(),
        table_sha256: hashes.table.clone(),
        objects_sha256: objects.iter().map(|&sha256| sha256.to_owned()).collect(),
        self_sha256: UNKNOWN.to_owned(),
    };
    record.self_sha256 = of_bytes(&record.bytes());
    record.bytes()
}

impl Provenance {
    /// As it is in a file.
    fn bytes(&self) -> Vec<u8> {
        // Strings and numbers, which are always JSON.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The digest of an object in front of the partition, by its number.
    pub(super) fn object(&self, id: u32) -> Option<&String> {
        self.objects_sha256.get(usize::try_from(id).ok()?.checked_sub(1)?)
    }

    /// Reads one; nothing where a byte of it is not as it was written.
    ///
    /// # Errors
    /// A later version wrote it.
    pub(super) fn intact(bytes: &[u8]) -> Result<Option<Self>, SifError> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        if serde_json::from_slice::<Version>(bytes).is_ok_and(|version| version.schema > SCHEMA) {
            return Err(SifError::Unsupported);
        }
        let Ok(record) = serde_json::from_slice::<Self>(bytes) else { return Ok(None) };
        let blank = Self { self_sha256: UNKNOWN.to_owned(), ..record.clone() };
        let whole = record.bytes() == bytes && of_bytes(&blank.bytes()) == record.self_sha256;
        Ok((whole && record.schema == SCHEMA).then_some(record))
    }
}
