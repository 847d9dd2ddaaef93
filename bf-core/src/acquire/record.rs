//! What the Hub says of a commit of a model, kept beside it: `models/.meta/models--ORG--NAME/COMMIT.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Outline;
use crate::bounded::{self, Links};
use crate::host;
use crate::model::ModelId;
use crate::publish::{Content, Policy, PublishError, Publisher};
use crate::site::{Layout, Part};

/// Bytes that one may have.
const MAX: u64 = 1024 * 1024;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// 1.
    pub schema: u32,
    /// What the Hub calls the model.
    pub repo: String,
    /// Its commit: 40 hex digits.
    pub commit: String,
    /// Its licence, as its card says: `apache-2.0`.
    #[serde(default)]
    pub license: Option<String>,
    /// Where the card says that the licence is to be read.
    #[serde(default)]
    pub license_link: Option<String>,
    /// Whether access to it must be asked for.
    #[serde(default)]
    pub gated: bool,
    /// Whether only some may know of it.
    #[serde(default)]
    pub private: bool,
    /// What it does: `text-generation`.
    #[serde(default)]
    pub pipeline_tag: Option<String>,
    /// What it is made for: `transformers`.
    #[serde(default)]
    pub library_name: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Parameters by their type.
    #[serde(default)]
    pub parameters: BTreeMap<String, u64>,
    /// When it was fetched (RFC 3339).
    pub fetched_at: String,
}

impl Record {
    /// That of what was outlined, fetched now.
    pub fn of(outline: &Outline) -> Self {
        let listing = outline.listing.clone();
        Self {
            schema: 1,
            repo: listing.id.to_string(),
            commit: listing.commit,
            license: listing.license,
            license_link: listing.license_link,
            gated: listing.gated,
            private: listing.private,
            pipeline_tag: listing.pipeline_tag,
            library_name: listing.library_name,
            tags: listing.tags,
            parameters: listing.parameters,
            fetched_at: host::now(),
        }
    }

    /// What a cache keeps of a commit; nothing where that is not there or cannot be used, since nothing depends on it.
    pub fn read(layout: &Layout, id: &ModelId, commit: &str) -> Option<Self> {
        let bytes = bounded::read(&layout.model_record(id, commit), MAX, Links::Refuse).ok()?;
        let record: Self = serde_json::from_slice(&bytes).ok()?;
        (record.schema == 1 && record.repo == id.to_string() && record.commit == commit).then_some(record)
    }

    /// Publishes it, for those that `policy` says.
    pub fn publish(
        &self,
        publisher: &Publisher<'_>,
        id: &ModelId,
        policy: Policy,
    ) -> Result<(), PublishError> {
        let layout = publisher.layout();
        // What all records lie in is for everybody.
        publisher.folder(&layout.model_records())?;
        let stage = publisher.stage(Part::Models)?;
        let staged = stage.path().join("record");
        let mut text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from)?;
        text.push(b'\n');
        fs_err::write(&staged, text)?;
        publisher.with(policy).publish(&staged, &layout.model_record(id, &self.commit), Content::Data)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::lock::SiteGuard;

    #[test]
    fn a_record_is_published_for_its_readers_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(fs_err::canonicalize(dir.path()).unwrap());
        let guard = SiteGuard::take(&layout).unwrap();
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        let (id, commit) = ("org/name".parse::<ModelId>().unwrap(), "1".repeat(40));
        let text = format!(
            r#"{{"schema":1,"repo":"org/name","commit":"{commit}","license":"mit","fetched_at":"2026-01-01T00:00:00Z"}}"#
        );
        let record: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(Record::read(&layout, &id, &commit), None);
        let closed = Policy { closed: true, ..Policy::default() };
        record.publish(&publisher, &id, closed).unwrap();
        assert_eq!(Record::read(&layout, &id, &commit).as_ref(), Some(&record));
        let mode = |path: &std::path::Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o7777;
        let path = layout.model_record(&id, &commit);
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o640, 0o750));
        assert_eq!(mode(&layout.model_records()), 0o755);
        fs_err::remove_dir_all(path.parent().unwrap()).unwrap();
        record.publish(&publisher, &id, Policy::default()).unwrap();
        assert_eq!(mode(&path), 0o644);
        fs_err::write(&path, text.replace("org/name", "org/other")).unwrap();
        assert_eq!(Record::read(&layout, &id, &commit), None);
    }
}
