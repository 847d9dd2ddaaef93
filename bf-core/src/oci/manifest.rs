//! Manifests and indexes: which layers an image has, and which images a name has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::descriptor::{LayerType, NoLayer, or_default};
use super::{Descriptor, MAX_MANIFEST, OciError};

/// Media types of documents.
pub mod media {
    /// OCI's manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI's index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// Docker's manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's index.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// OCI's configuration of an image.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// Docker's configuration of an image.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// OCI's plain layer.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

    /// What a registry is asked for.
    pub const ACCEPTED: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST];
}

/// An image: its configuration and its layers, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// What it says that it is; OCI lets it be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<Descriptor>,
    /// What else is said of it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Images of one name for several machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// What it says that it is; OCI lets it be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Their manifests, or further indexes.
    #[serde(default, deserialize_with = "or_default")]
    pub manifests: Vec<Descriptor>,
}

/// What a name of a registry stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

/// What tells the documents apart, whatever else is in them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    schema_version: Option<u32>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
    #[serde(default, rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a document of the image `name`. `media_type` is what came with it, such as a `Content-Type`: what the document
    /// says of itself goes first, and one that could be read both ways is refused.
    pub fn parse(bytes: &[u8], media_type: Option<&str>, name: &str) -> Result<Self, OciError> {
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(OciError::TooLarge { name: name.to_owned(), what: "manifest", limit: MAX_MANIFEST });
        }
        let malformed =
            |reason: String| OciError::Malformed { name: name.to_owned(), what: "manifest", reason };
        let probe: Probe = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if probe.schema_version == Some(1) || probe.fs_layers.is_some() {
            return Err(OciError::Schema1 { name: name.to_owned() });
        }
        let shape = match (probe.manifests.is_some(), probe.layers.is_some() || probe.config.is_some()) {
            (true, true) => return Err(malformed("it is both an index and an image".into())),
            (true, false) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        };
        let said = probe.media_type.as_deref().filter(|said| !said.is_empty());
        let is_index = |media: &str| match media {
            media::INDEX | media::DOCKER_LIST => Some(true),
            media::MANIFEST | media::DOCKER_MANIFEST => Some(false),
            _ => None,
        };
        let outside = media_type.map(|media| media.split(';').next().unwrap_or(media).trim());
        if let Some(said) = said
            && is_index(said).is_none()
        {
            return Err(OciError::NotAnImage { name: name.to_owned(), media_type: said.to_owned() });
        }
        // Two readers must not see two things in the same bytes (CVE-2021-41190).
        let claims = [said.and_then(is_index), outside.and_then(is_index), shape];
        let mut known = claims.into_iter().flatten();
        let Some(index) = known.next() else {
            let media_type = probe.artifact_type.or(outside.map(str::to_owned)).unwrap_or_default();
            return Err(OciError::NotAnImage { name: name.to_owned(), media_type });
        };
        if known.any(|other| other != index) {
            return Err(malformed("its type and its content contradict each other".into()));
        }
        let read = |error: serde_json::Error| malformed(error.to_string());
        Ok(if index {
            Self::Index(serde_json::from_slice(bytes).map_err(read)?)
        } else {
            Self::Manifest(serde_json::from_slice(bytes).map_err(read)?)
        })
    }
}

impl Manifest {
    /// That it is an image whose layers can be unpacked.
    pub fn check(&self, name: &str) -> Result<(), OciError> {
        let config = self.config.media_type.as_str();
        // The last one is what Docker's registry of 2015 called everything.
        if ![media::CONFIG, media::DOCKER_CONFIG, "application/octet-stream"].contains(&config) {
            return Err(OciError::NotAnImage { name: name.to_owned(), media_type: config.to_owned() });
        }
        if self.layers.is_empty() {
            return Err(OciError::NoLayers { name: name.to_owned() });
        }
        for layer in &self.layers {
            let (name, digest) = (name.to_owned(), layer.digest.clone());
            match LayerType::of(&layer.media_type) {
                Ok(_) => {}
                Err(NoLayer::Encrypted) => return Err(OciError::Encrypted { name, digest }),
                Err(NoLayer::Unknown) => {
                    return Err(OciError::UnknownLayer {
                        name,
                        digest,
                        media_type: layer.media_type.clone(),
                    });
                }
            }
        }
        if self.layers.iter().try_fold(0_u64, |sum, layer| sum.checked_add(layer.size)).is_none() {
            let reason = "its layers are larger than anything".into();
            return Err(OciError::Malformed { name: name.to_owned(), what: "manifest", reason });
        }
        Ok(())
    }

    /// Bytes of all layers, as they are stored.
    pub fn size(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
    }
}
