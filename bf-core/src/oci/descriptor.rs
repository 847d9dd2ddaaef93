//! What points to content: its type, its digest, its size. And what the types of layers mean.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::Platform;
use crate::image::Digest;

/// A pointer to content (OCI image specification, `descriptor.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is; empty where nobody said so.
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    /// What it hashes to.
    pub digest: Digest,
    /// Its bytes; at most the largest `i64`, which is what the format can say.
    #[serde(deserialize_with = "size")]
    pub size: u64,
    /// Where else it is: for layers that registries must not pass on.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What else is said of it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// In an index: what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Whether it is a layer that registries may refuse to have, so that it is fetched from its `urls`.
    pub fn is_foreign(&self) -> bool {
        LayerType::of(&self.media_type).is_ok_and(|layer| layer.foreign)
    }
}

/// How a layer's archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar archive.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// What a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerType {
    /// How its archive is compressed.
    pub compression: Compression,
    /// Whether registries may refuse to have it, so that it is fetched from its `urls`.
    pub foreign: bool,
}

/// Why a media type is no layer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoLayer {
    Encrypted,
    Unknown,
}

impl LayerType {
    pub(super) fn of(media_type: &str) -> Result<Self, NoLayer> {
        const OCI: &str = "application/vnd.oci.image.layer.v1.";
        const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.";
        const DOCKER: &str = "application/vnd.docker.image.rootfs.diff.";
        const DOCKER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.";
        if media_type.ends_with("+encrypted") {
            return Err(NoLayer::Encrypted);
        }
        let ways = [(OCI, false), (FOREIGN, true), (DOCKER, false), (DOCKER_FOREIGN, true)];
        let found =
            ways.into_iter().find_map(|(start, foreign)| Some((media_type.strip_prefix(start)?, foreign)));
        let (ending, foreign) = found.ok_or(NoLayer::Unknown)?;
        let compression = match ending {
            "tar" => Compression::None,
            "tar+gzip" | "tar.gzip" => Compression::Gzip,
            // Docker's name of it is in no document, but builders write it.
            "tar+zstd" | "tar.zstd" => Compression::Zstd,
            _ => return Err(NoLayer::Unknown),
        };
        Ok(Self { compression, foreign })
    }
}

/// Programs in Go write lists that have nothing in them as `null`.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = i64::deserialize(deserializer)?;
    u64::try_from(size).map_err(|_| serde::de::Error::custom("a size below 0"))
}
