//! What machine an image is for, and which image of an index runs on a machine.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::descriptor::or_default;
use super::{Descriptor, Index, OciError};

/// An operating system and a processor, in the words of Go: `linux`, `amd64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    /// `amd64`, `arm64`, `ppc64le`.
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// The processor's generation: `v8` of arm64, `v3` of amd64. Nothing means the oldest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on this processor, named as Go or as the kernel names it (`x86_64`, `aarch64`).
    pub fn linux(architecture: &str) -> Self {
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "powerpc64le" => "ppc64le",
            other => other,
        };
        Self { os: "linux".into(), architecture: architecture.to_owned(), variant: None }
    }

    /// Linux on the processor that this program was made for.
    pub fn of_host() -> Self {
        let architecture = std::env::consts::ARCH;
        // The one architecture of which Rust does not tell the byte order in its name.
        if architecture == "powerpc64" && cfg!(target_endian = "little") {
            return Self::linux("ppc64le");
        }
        Self::linux(architecture)
    }

    /// Whether a program of `other` runs here, not looking at variants. What is not said is believed to.
    pub(super) fn runs(&self, other: &Self) -> bool {
        let fits = |said: &str, wanted: &str| said.is_empty() || said == wanted;
        fits(&other.os, &self.os) && fits(&other.architecture, &self.architecture)
    }

    /// The generation, as a number to compare; nothing where it is not known how.
    fn level(&self) -> Option<(u32, u32)> {
        let oldest = match self.architecture.as_str() {
            "arm64" => (8, 0),
            _ => (1, 0),
        };
        let Some(variant) = self.variant.as_deref().filter(|variant| !variant.is_empty()) else {
            return Some(oldest);
        };
        let digits = variant.strip_prefix('v')?;
        let (major, minor) = digits.split_once('.').unwrap_or((digits, "0"));
        Some((major.parse().ok()?, minor.parse().ok()?))
    }

    /// The entry of an index for this machine: the newest generation that it can run, the first of equal ones.
    ///
    /// An entry that does not say what it is for is taken when no other is: its configuration will tell.
    pub fn choose<'a>(&self, index: &'a Index) -> Option<&'a Descriptor> {
        let own = self.level()?;
        let mut best: Option<((u32, u32), &Descriptor)> = None;
        for entry in index.manifests.iter().filter(|entry| !is_attestation(entry)) {
            let level = match &entry.platform {
                None => (0, 0),
                Some(platform) if platform.os == self.os && platform.architecture == self.architecture => {
                    match platform.level() {
                        Some(level) if level <= own => level,
                        _ => continue,
                    }
                }
                Some(_) => continue,
            };
            if best.is_none_or(|(other, _)| level > other) {
                best = Some((level, entry));
            }
        }
        best.map(|(_, entry)| entry)
    }

    /// As [`Self::choose`]; the error says what there is.
    pub(crate) fn choose_or_fail<'a>(
        &self,
        index: &'a Index,
        name: &str,
    ) -> Result<&'a Descriptor, OciError> {
        self.choose(index).ok_or_else(|| OciError::NoPlatform {
            name: name.to_owned(),
            wanted: self.to_string(),
            found: Self::all(index),
        })
    }

    /// What an index has, for a message.
    fn all(index: &Index) -> String {
        const SHOWN: usize = 12;
        let mut names: Vec<String> = Vec::new();
        for entry in index.manifests.iter().filter(|entry| !is_attestation(entry)) {
            let name = entry.platform.as_ref().map_or_else(|| "an unnamed machine".into(), Self::to_string);
            if !names.contains(&name) && names.len() < SHOWN {
                names.push(name);
            }
        }
        if names.is_empty() { "nothing".into() } else { names.join(", ") }
    }
}

/// What builders put beside images: statements about them, as `unknown/unknown`.
fn is_attestation(entry: &Descriptor) -> bool {
    entry.annotations.contains_key("vnd.docker.reference.type")
        || entry
            .platform
            .as_ref()
            .is_some_and(|platform| platform.os == "unknown" || platform.architecture == "unknown")
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the other side's texts, only what fits into a message.
        let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(24).collect::<String>();
        write!(f, "{}/{}", short(&self.os), short(&self.architecture))?;
        match self.variant.as_deref() {
            Some(variant) if !variant.is_empty() => write!(f, "/{}", short(variant)),
            _ => Ok(()),
        }
    }
}
