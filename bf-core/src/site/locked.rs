//! `site.lock`: what the declared state resolved to, byte by byte. Sorted JSON, paths relative to the cache.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::Layout;
use crate::image::{Digest, Reference};
use crate::report::{Exit, Failure};

/// What a cache was last provisioned with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// Version of this format.
    pub schema: u32,
    /// The programs of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolkit: Option<LockedToolkit>,
    /// Container images by name.
    #[serde(default)]
    pub images: BTreeMap<String, LockedImage>,
    /// Native engines by id.
    #[serde(default)]
    pub engines: BTreeMap<String, LockedEngine>,
    /// Models by id.
    #[serde(default)]
    pub models: BTreeMap<String, LockedModel>,
}

impl Default for Locked {
    fn default() -> Self {
        Self {
            schema: Self::SCHEMA,
            toolkit: None,
            images: BTreeMap::new(),
            engines: BTreeMap::new(),
            models: BTreeMap::new(),
        }
    }
}

/// The programs of users as they were published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedToolkit {
    /// The version that `bin/bf-user` leads to.
    pub version: String,
    /// The SHA-256 of what `bin/bf-user` leads to.
    pub sha256: String,
    /// `bf-user` for each architecture, paths relative to the cache: architectures are provisioned one by one.
    #[serde(default)]
    pub files: Vec<LockedFile>,
}

/// A container image as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedImage {
    /// Where it came from, without a digest if it has a tag; nothing for a file that was imported under a name of its own.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The manifest that was asked for, where it was pinned.
    pub digest: Option<Digest>,
    /// The link that users open, relative to the cache: `images/name_tag.sif`.
    pub sif: String,
    /// SHA-256 of the file behind it, 64 hex digits.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// How its root filesystem is compressed: `gzip`.
    pub compression: String,
}

impl LockedImage {
    /// What it was asked for as: reference and digest.
    pub fn whole(&self) -> Option<Reference> {
        let reference = self.reference.clone()?;
        Some(match &self.digest {
            Some(digest) => reference.pinned(digest.clone()),
            None => reference,
        })
    }

    /// The 12 hex digits that its file in the store is named by: of the manifest, where that is known, else of the file.
    pub fn digest12(&self) -> &str {
        match &self.digest {
            Some(digest) => digest.short(),
            None => self.sha256.get(..12).unwrap_or(&self.sha256),
        }
    }

    /// The name of its file in the store.
    pub fn store_name(&self) -> String {
        format!("{}-{}.sif", self.digest12(), self.compression)
    }
}

/// A native engine as it was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedEngine {
    /// Its version, also the name of its folder.
    pub version: String,
    /// The Python package.
    pub package: String,
    /// The SHA-256 of the wheels that were allowed.
    pub sha256: Vec<String>,
    /// The interpreter that its launcher names.
    pub python: String,
    /// All its files, paths relative to its folder.
    pub files: Vec<LockedFile>,
}

/// A model as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedModel {
    /// The commit that `refs/main` names.
    pub commit: String,
    /// All files of the snapshot, paths relative to it.
    pub files: Vec<LockedFile>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedFile {
    /// Relative, with `/`.
    pub path: String,
    /// 64 hex digits.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

impl Locked {
    /// The version of the format that this program writes.
    pub const SCHEMA: u32 = 1;

    /// Reads the lock of a cache; a cache without one has nothing provisioned.
    pub fn load(layout: &Layout) -> Result<Self, Failure> {
        let path = layout.site_lock();
        let text = match fs_err::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let invalid = |why: String| {
            Failure::new(Exit::Invalid, "invalid_lock", format!("{} is not valid: {why}", path.display()))
        };
        let locked: Self = serde_json::from_str(&text).map_err(|error| {
            invalid(error.to_string())
                .with_hint("restore it from a backup, or move it aside and run `bf-admin setup`")
        })?;
        if locked.schema > Self::SCHEMA {
            let why = format!("it was written by a newer bf-admin (schema {})", locked.schema);
            return Err(invalid(why).with_hint("use the newer bf-admin"));
        }
        Ok(locked)
    }

    /// Its text, as `setup` publishes it.
    pub fn text(&self) -> Result<String, Failure> {
        let mut text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        text.push('\n');
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_survives_being_written_and_read_and_a_newer_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(Locked::load(&layout).unwrap(), Locked::default());
        let mut locked = Locked::default();
        let files = vec![LockedFile { path: "a/b".into(), sha256: "0".repeat(64), bytes: 3 }];
        locked.models.insert("org/name".into(), LockedModel { commit: "1".repeat(40), files });
        let image = LockedImage {
            reference: Some("ghcr.io/org/name:1".parse().unwrap()),
            digest: None,
            sif: "images/name_1.sif".into(),
            sha256: "ab".repeat(32),
            bytes: 3,
            compression: "gzip".into(),
        };
        assert_eq!(image.store_name(), "abababababab-gzip.sif");
        locked.images.insert("vllm".into(), image);
        fs_err::write(layout.site_lock(), locked.text().unwrap()).unwrap();
        assert_eq!(Locked::load(&layout).unwrap(), locked);
        let toolkit = r#"{"schema": 1, "toolkit": {"version": "1", "sha256": "00"}, "new": 1}"#;
        fs_err::write(layout.site_lock(), toolkit).unwrap();
        assert_eq!(Locked::load(&layout).unwrap().toolkit.unwrap().files, []);
        let image =
            r#"{"schema": 1, "images": {"a": {"ref": "UPPER", "sif": "a", "sha256": "", "bytes": 1}}}"#;
        fs_err::write(layout.site_lock(), image).unwrap();
        assert_eq!(Locked::load(&layout).unwrap_err().exit, Exit::Invalid);
        fs_err::write(layout.site_lock(), r#"{"schema": 2}"#).unwrap();
        assert_eq!(Locked::load(&layout).unwrap_err().exit, Exit::Invalid);
    }
}
