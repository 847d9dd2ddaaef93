//! Reads `model.safetensors.index.json`: which shards hold the tensors. Of the map, only the shards' names are kept.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::super::HeaderError;

/// The longest index that is read, in bytes; the largest models' have about 10 MB.
pub const MAX_INDEX: u64 = 100_000_000;

/// The most shards of a model.
const MAX_SHARDS: usize = 100_000;

/// The shards that the index at `path` names, by name. They are names to look up, not paths to open.
pub(super) fn shards(path: &Path) -> Result<BTreeSet<String>, HeaderError> {
    let file = crate::bounded::open(path, crate::bounded::Links::Follow)?;
    let bytes = file.metadata()?.len();
    parse(BufReader::new(file), bytes)
}

/// As [`shards`], of an index of `bytes` bytes that `reader` reads.
pub(in super::super) fn parse(reader: impl Read, bytes: u64) -> Result<BTreeSet<String>, HeaderError> {
    if bytes > MAX_INDEX {
        return Err(HeaderError::Malformed {
            reason: "an index of shards is never longer than 100 MB",
            at: MAX_INDEX,
        });
    }
    let index: Index =
        serde_json::from_reader(reader.take(MAX_INDEX)).map_err(|source| HeaderError::Json { source })?;
    Ok(index.weight_map.0)
}

#[derive(Deserialize)]
struct Index {
    weight_map: Shards,
}

struct Shards(BTreeSet<String>);

impl<'de> Deserialize<'de> for Shards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ShardsVisitor)
    }
}

struct ShardsVisitor;

impl<'de> Visitor<'de> for ShardsVisitor {
    type Value = Shards;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors to shards")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shards, A::Error> {
        let mut shards = BTreeSet::new();
        while let Some(IgnoredAny) = map.next_key()? {
            let shard: String = map.next_value()?;
            if shard.chars().any(char::is_control) {
                return Err(A::Error::custom("a shard's name holds a control character"));
            }
            shards.insert(shard);
            if shards.len() > MAX_SHARDS {
                return Err(A::Error::custom("there are too many shards"));
            }
        }
        Ok(Shards(shards))
    }
}
