//! `site.lock`: what the declared state resolved to, byte by byte. Sorted JSON, paths relative to the cache.

mod shape;
mod sound;
mod unknown;

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::{Access, Layout, trusted};
use crate::bounded::{self, Links};
use crate::image::{Digest, Reference};
use crate::model::Revision;
use crate::model::store::MAIN;
use crate::report::{Exit, Failure};
use crate::shape::Map;

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
    /// What a newer bf-admin wrote besides.
    #[serde(skip)]
    unknown: Option<Unknown>,
}

/// Keys that this version does not know, and the known ones as they were with them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unknown {
    keys: serde_json::Value,
    before: serde_json::Value,
}

impl Default for Locked {
    fn default() -> Self {
        Self {
            schema: Self::SCHEMA,
            toolkit: None,
            images: BTreeMap::new(),
            engines: BTreeMap::new(),
            models: BTreeMap::new(),
            unknown: None,
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
    /// The manifest or index that it was made of, where that is known.
    pub digest: Option<Digest>,
    /// The link that users open, relative to the cache: `images/name_tag.sif`.
    pub sif: String,
    /// SHA-256 of the file behind it, 64 hex digits.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// How its root filesystem is compressed: `gzip:7`, `zstd:8`.
    pub compression: String,
    /// SHA-256 of its root filesystem, and of the rest of it as it was before it was signed: with these a signature is no damage
    /// ([`crate::sif::digests`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_sha256: Option<String>,
    /// See `partition_sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_sha256: Option<String>,
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
        format!("{}-{}.sif", self.digest12(), self.compression.replace(':', ""))
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

/// A model as it was published: the revision that users get, and others that were asked for beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedModel {
    /// The commit that `refs/main` names: the revision of whoever names none.
    pub commit: String,
    /// What it was asked for as, where that is not `main`: a branch, a tag or a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// All files of the snapshot, paths relative to it.
    pub files: Vec<LockedFile>,
    /// Who may read it: for whom it was published, whatever site.yaml says by now.
    #[serde(default, skip_serializing_if = "Access::is_all")]
    pub access: Access,
    /// Further revisions, by what they were asked for as.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revisions: BTreeMap<String, LockedRevision>,
}

impl LockedModel {
    /// The revision that users get.
    pub fn main(&self) -> RevisionOf<'_> {
        RevisionOf { name: self.revision.as_deref(), commit: &self.commit, files: &self.files }
    }

    /// All revisions, the one that users get first.
    pub fn all(&self) -> impl Iterator<Item = RevisionOf<'_>> {
        let others = self.revisions.iter().map(|(name, own)| RevisionOf {
            name: Some(name.as_str()),
            commit: &own.commit,
            files: &own.files,
        });
        std::iter::once(self.main()).chain(others)
    }

    /// The refs that lead to its revisions, each with its commit: `main`, and the names they were asked for as, where these are no commits.
    pub fn refs(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = self.all().filter_map(|own| Some((own.name?, own.commit)));
        std::iter::once((MAIN, self.commit.as_str()))
            .chain(named.filter(|(name, _)| Revision::parse(name).is_ok_and(|name| !name.is_commit())))
    }
}

/// A revision of a model, wherever it stands in the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevisionOf<'a> {
    /// What it was asked for as; nothing for `main`.
    pub name: Option<&'a str>,
    /// Its commit, also the name of its snapshot.
    pub commit: &'a str,
    /// All files of the snapshot, paths relative to it.
    pub files: &'a [LockedFile],
}

/// A revision of a model beside the one that users get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedRevision {
    /// Its commit, also the name of its snapshot.
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
    /// The name of its blob, of a model from the Hub whose blob is not called by the SHA-256: the name that git gives it, 40 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
}

impl LockedFile {
    /// The name of its blob in a model.
    pub fn blob_name(&self) -> &str {
        self.blob.as_deref().unwrap_or(&self.sha256)
    }
}

impl Locked {
    /// The version of the format that this program writes.
    pub const SCHEMA: u32 = 1;

    /// The largest lock that is read, in bytes. A file of a model is some 150 of them.
    const MAX_BYTES: u64 = 64 * 1024 * 1024;

    /// Reads the lock of a cache; a cache without one has nothing provisioned.
    ///
    /// # Errors
    /// What is no lock that bf-admin could have written is [`Exit::Invalid`]: its paths are followed. One that somebody else
    /// could have changed is [`Exit::Permission`].
    pub fn load(layout: &Layout) -> Result<Self, Failure> {
        let path = layout.site_lock();
        let file = match bounded::open(&path, Links::Refuse) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        trusted(layout.root(), &path)?;
        let invalid = |why: String| {
            Failure::new(Exit::Invalid, "invalid_lock", format!("{} is not valid: {why}", path.display()))
                .with_hint("restore it from a backup, or move it aside and run `bf-admin setup`")
        };
        let bytes = bounded::contents(&path, &file, Self::MAX_BYTES)?;
        let text = String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8 text".into()))?;
        let unreadable = |error: serde_json::Error| invalid(error.to_string());
        // From the text, so that errors have a place in it.
        let mut locked: Self = serde_json::from_str(&text).map_err(unreadable)?;
        if locked.schema > Self::SCHEMA {
            let why = format!("it was written by a newer bf-admin (schema {})", locked.schema);
            return Err(invalid(why).with_hint("use the newer bf-admin"));
        }
        if locked.schema == 0 {
            return Err(invalid("there is no schema 0".into()));
        }
        sound::check(&locked).map_err(invalid)?;
        let whole: serde_json::Value = serde_json::from_str(&text).map_err(unreadable)?;
        if let Some(keys) = unknown::of(&whole, &shape::MAP) {
            locked.unknown = Some(Unknown { keys, before: locked.known()? });
        }
        Ok(locked)
    }

    fn known(&self) -> Result<serde_json::Value, Failure> {
        Ok(serde_json::to_value(self).map_err(io::Error::other)?)
    }

    /// All that the file may hold. There may be more keys, of newer versions.
    pub fn shape() -> &'static Map {
        &shape::MAP
    }

    /// Its text, as `setup` publishes it. Keys that this version does not know stay, of what is as it was.
    pub fn text(&self) -> Result<String, Failure> {
        let mut value = self.known()?;
        if let Some(Unknown { keys, before }) = &self.unknown {
            unknown::put_back(&mut value, keys, before, &shape::MAP);
        }
        let mut text = serde_json::to_string_pretty(&value).map_err(io::Error::other)?;
        text.push('\n');
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
