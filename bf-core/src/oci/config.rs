//! An image's configuration: what it is for, what runs in it, and what its layers hash to when unpacked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::descriptor::or_default;
use super::{MAX_CONFIG, Manifest, OciError, Platform};
use crate::image::Digest;

/// The configuration (OCI image specification, `config.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made, RFC 3339, as its maker wrote it.
    #[serde(default)]
    pub created: Option<String>,
    /// `amd64`.
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// `linux`.
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    /// The processor's generation.
    #[serde(default)]
    pub variant: Option<String>,
    /// How it is run.
    #[serde(default, deserialize_with = "or_default")]
    pub config: ContainerConfig,
    /// What its layers hash to.
    pub rootfs: RootFs,
}

/// How an image is run, if nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// A user, or `user:group`, by name or number.
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    /// `NAME=value`.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// The program, and its first arguments.
    #[serde(deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// Its further arguments, or the program where there is no entrypoint.
    #[serde(deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    /// The folder that it starts in.
    #[serde(deserialize_with = "or_default")]
    pub working_dir: String,
    /// What else is said of it.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// The signal that ends it.
    #[serde(deserialize_with = "or_default")]
    pub stop_signal: String,
}

/// What the layers hash to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// Digests of the unpacked archives, the lowest layer's first.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Reads the configuration of the image `name`.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, OciError> {
        if bytes.len() as u64 > MAX_CONFIG {
            return Err(OciError::TooLarge {
                name: name.to_owned(),
                what: "configuration",
                limit: MAX_CONFIG,
            });
        }
        let malformed =
            |reason: String| OciError::Malformed { name: name.to_owned(), what: "configuration", reason };
        let config: Self = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if !matches!(config.rootfs.kind.as_str(), "" | "layers") {
            return Err(malformed("its rootfs has another type than `layers`".into()));
        }
        Ok(config)
    }

    /// That it belongs to this manifest, and runs on this machine.
    pub fn check(&self, manifest: &Manifest, platform: &Platform, name: &str) -> Result<(), OciError> {
        let own = self.platform();
        if !platform.runs(&own) {
            let (wanted, found) = (platform.to_string(), own.to_string());
            return Err(OciError::NoPlatform { name: name.to_owned(), wanted, found });
        }
        let (layers, diff_ids) = (manifest.layers.len(), self.rootfs.diff_ids.len());
        if layers != diff_ids {
            return Err(OciError::LayerCount { name: name.to_owned(), layers, diff_ids });
        }
        Ok(())
    }

    /// What it is for.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        }
    }
}
