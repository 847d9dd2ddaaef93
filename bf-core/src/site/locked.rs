//! `site.lock`: what the declared state resolved to, byte by byte. Sorted JSON, paths relative to the cache.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::Layout;
use crate::report::{Exit, Failure};

/// What a cache was last provisioned with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// Version of this format.
    pub schema: u32,
    /// Native engines by id.
    #[serde(default)]
    pub engines: BTreeMap<String, LockedEngine>,
    /// Models by id.
    #[serde(default)]
    pub models: BTreeMap<String, LockedModel>,
}

impl Default for Locked {
    fn default() -> Self {
        Self { schema: Self::SCHEMA, engines: BTreeMap::new(), models: BTreeMap::new() }
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
        fs_err::write(layout.site_lock(), locked.text().unwrap()).unwrap();
        assert_eq!(Locked::load(&layout).unwrap(), locked);
        fs_err::write(layout.site_lock(), r#"{"schema": 2}"#).unwrap();
        assert_eq!(Locked::load(&layout).unwrap_err().exit, Exit::Invalid);
    }
}
