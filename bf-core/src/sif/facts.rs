//! What a SIF is told of the image that it is made of.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::image::{Digest, Reference};

/// What an image's programs run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // their names are all there is to say
pub enum Architecture {
    I386,
    Amd64,
    Arm,
    Arm64,
    Ppc64,
    Ppc64le,
    S390x,
    Riscv64,
}

impl Architecture {
    /// Each with SIF's code, what image configurations call it, and what `uname -m` says.
    const ALL: [(Self, [u8; 3], &str, &str); 8] = [
        (Self::I386, *b"01\0", "386", "i686"),
        (Self::Amd64, *b"02\0", "amd64", "x86_64"),
        (Self::Arm, *b"03\0", "arm", "arm"),
        (Self::Arm64, *b"04\0", "arm64", "aarch64"),
        (Self::Ppc64, *b"05\0", "ppc64", "ppc64"),
        (Self::Ppc64le, *b"06\0", "ppc64le", "ppc64le"),
        (Self::S390x, *b"11\0", "s390x", "s390x"),
        (Self::Riscv64, *b"12\0", "riscv64", "riscv64"),
    ];

    /// By what image configurations call it.
    pub fn from_oci(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, _, oci, _)| *oci == name).map(|(one, ..)| one)
    }

    /// By SIF's code.
    pub fn from_code(code: [u8; 3]) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, own, ..)| *own == code).map(|(one, ..)| one)
    }

    fn row(self) -> (Self, [u8; 3], &'static str, &'static str) {
        Self::ALL.into_iter().find(|(one, ..)| *one == self).unwrap_or(Self::ALL[1])
    }

    /// What image configurations call it.
    pub fn oci(self) -> &'static str {
        self.row().2
    }

    /// SIF's code for it.
    pub fn code(self) -> [u8; 3] {
        self.row().1
    }

    /// What `uname -m` says on it.
    pub fn machine(self) -> &'static str {
        self.row().3
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
    /// What its name stood for in its registry: the digest of its manifest, or of the index that has it.
    pub source: Option<Digest>,
    /// The digest of its manifest; archives of old have none.
    pub manifest: Option<Digest>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_have_three_names_each() {
        for (one, code, oci, machine) in Architecture::ALL {
            assert_eq!((one.code(), one.oci(), one.machine()), (code, oci, machine));
            assert_eq!((Architecture::from_code(code), Architecture::from_oci(oci)), (Some(one), Some(one)));
        }
        assert_eq!((Architecture::from_code(*b"99\0"), Architecture::from_oci("x86_64")), (None, None));
    }
}
