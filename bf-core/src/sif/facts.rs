//! What a SIF is told of the image that it is made of.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::image::{Digest, Reference};

/// What an image's programs run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// x86_64.
    Amd64,
    /// aarch64.
    Arm64,
    /// POWER, little endian.
    Ppc64le,
}

impl Architecture {
    /// As image configurations call it.
    pub fn from_oci(name: &str) -> Option<Self> {
        [Self::Amd64, Self::Arm64, Self::Ppc64le].into_iter().find(|one| one.oci() == name)
    }

    /// As image configurations call it.
    pub fn oci(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Ppc64le => "ppc64le",
        }
    }

    /// SIF's code for it.
    pub fn code(self) -> [u8; 3] {
        match self {
            Self::Amd64 => *b"02\0",
            Self::Arm64 => *b"04\0",
            Self::Ppc64le => *b"06\0",
        }
    }
}

/// How an image is run, as the `config` of its configuration says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunConfig {
    /// `NAME=value`, in its order.
    pub env: Vec<String>,
    /// The first words of the command.
    pub entrypoint: Vec<String>,
    /// The words behind them, unless the user gives others.
    pub cmd: Vec<String>,
    /// What its maker says of it.
    pub labels: BTreeMap<String, String>,
}

/// An image, and how it is made into a SIF.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// What it runs on.
    pub architecture: Architecture,
    /// What it is called.
    pub reference: Reference,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The digest of its configuration.
    pub config: Digest,
    /// The digests of its layers as they are in the registry, in their order.
    pub layers: Vec<Digest>,
    /// The digests of its layers as they are unpacked.
    pub diff_ids: Vec<Digest>,
    /// How the squashfs is compressed, with the level if that is not the usual one: `zstd`.
    pub compression: String,
    /// The version of what makes the SIF: `0.1.0`.
    pub tool: String,
    /// When its configuration says that it was made, in seconds since 1970; 0 where it does not say.
    pub created: i64,
    /// The object `config` of its configuration, as it is.
    pub oci: Value,
    /// How it is run.
    pub run: RunConfig,
}
