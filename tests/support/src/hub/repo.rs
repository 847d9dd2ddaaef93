//! A repository as it is published: its files, names, and who may read it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::content::Content;
use super::sha1::{git_blob, sha1};

/// Files of these kinds are big whatever their length.
const WEIGHTS: [&str; 12] = [
    ".safetensors",
    ".bin",
    ".gguf",
    ".pt",
    ".pth",
    ".onnx",
    ".h5",
    ".msgpack",
    ".ckpt",
    ".tflite",
    ".model",
    ".ot",
];
/// Longer ones are big whatever their kind.
const BIG: u64 = 10 << 20;

/// What is to be published: `Repo::new("org/name").file("config.json", "{}").big("model.safetensors", content)`.
#[derive(Debug, Clone)]
pub struct Repo {
    pub(super) id: String,
    pub(super) files: Vec<Entry>,
    pub(super) refs: Vec<(RefKind, String)>,
    pub(super) access: Access,
    pub(super) formerly: Vec<String>,
    pub(super) card: Value,
}

/// What a revision's name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefKind {
    Branch,
    Tag,
    PullRequest,
}

/// Who may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Access {
    /// Anybody.
    #[default]
    Public,
    /// Anybody sees it; its files are for those who were admitted.
    Gated,
    /// Others do not learn that it exists.
    Private,
    /// Nobody.
    Disabled,
}

/// A file of a repository, as it is listed and as it is served, which need not be the same.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) content: Content,
    pub(super) big: bool,
    /// What the listing says instead of the truth.
    pub(super) claimed_size: Option<Value>,
    pub(super) claimed_hash: Option<String>,
}

impl Entry {
    /// What the listing and the headers call the hash of its content.
    pub(super) fn etag(&self) -> String {
        let truth = || if self.big { self.content.sha256() } else { self.content.git_sha1() };
        self.claimed_hash.clone().unwrap_or_else(truth)
    }

    /// What git calls it: of a big file, its pointer.
    pub(super) fn oid(&self) -> String {
        if self.big { git_blob(self.pointer().as_bytes()) } else { self.etag() }
    }

    /// What git holds for a big file.
    pub(super) fn pointer(&self) -> String {
        let (hash, length) = (self.content.sha256(), self.content.length());
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{hash}\nsize {length}\n")
    }

    pub(super) fn size(&self) -> Value {
        self.claimed_size.clone().unwrap_or_else(|| json!(self.content.length()))
    }
}

impl Repo {
    /// An empty public repository; `org/name`, or `name` alone.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            files: Vec::new(),
            refs: Vec::new(),
            access: Access::Public,
            formerly: Vec::new(),
            card: Value::Null,
        }
    }

    /// Adds a file; it is big by the hub's own rule: by its suffix, or above 10 MiB. No path is refused, nor is one that is there.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Content>) -> Self {
        let content = content.into();
        let big = WEIGHTS.iter().any(|suffix| path.ends_with(suffix)) || content.length() > BIG;
        self.files.push(Entry { path: path.into(), content, big, claimed_size: None, claimed_hash: None });
        self
    }

    /// Adds a file that is big whatever the rule says: known by its SHA-256 and served by the other origin.
    #[must_use]
    pub fn big(self, path: &str, content: impl Into<Content>) -> Self {
        let mut repo = self.file(path, content);
        if let Some(entry) = repo.files.last_mut() {
            entry.big = true;
        }
        repo
    }

    /// Its files, and what each holds.
    pub fn contents(&self) -> impl Iterator<Item = (&str, &Content)> {
        self.files.iter().map(|entry| (entry.path.as_str(), &entry.content))
    }

    /// Publishes under a branch (by default `main`); once more: under several.
    #[must_use]
    pub fn revision(mut self, name: &str) -> Self {
        self.refs.push((RefKind::Branch, name.into()));
        self
    }

    /// Publishes under a tag.
    #[must_use]
    pub fn tag(mut self, name: &str) -> Self {
        self.refs.push((RefKind::Tag, name.into()));
        self
    }

    /// Publishes as `refs/pr/NUMBER`.
    #[must_use]
    pub fn pull_request(mut self, number: u32) -> Self {
        self.refs.push((RefKind::PullRequest, format!("refs/pr/{number}")));
        self
    }

    /// Its listing is public; its files are for users who have access.
    #[must_use]
    pub fn gated(mut self) -> Self {
        self.access = Access::Gated;
        self
    }

    /// Others do not learn that it exists.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.access = Access::Private;
        self
    }

    /// The Hub has disabled it.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.access = Access::Disabled;
        self
    }

    /// It was renamed from this id, which leads here.
    #[must_use]
    pub fn formerly(mut self, id: &str) -> Self {
        self.formerly.push(id.into());
        self
    }

    /// What is said of it, as `{"license": "mit"}`; `pipeline_tag` and `library_name` are taken from there.
    #[must_use]
    pub fn card(mut self, card: Value) -> Self {
        self.card = card;
        self
    }

    /// The listing says this size of the file that was added last: any JSON, so also a negative or an absurd one.
    #[must_use]
    pub fn claiming_size(mut self, size: impl Into<Value>) -> Self {
        if let Some(entry) = self.files.last_mut() {
            entry.claimed_size = Some(size.into());
        }
        self
    }

    /// The listing and the headers say this hash of the file that was added last.
    #[must_use]
    pub fn claiming_hash(mut self, hash: &str) -> Self {
        if let Some(entry) = self.files.last_mut() {
            entry.claimed_hash = Some(hash.into());
        }
        self
    }
}

/// A repository that is published.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) access: Access,
    pub(super) formerly: Vec<String>,
    pub(super) card: Value,
    /// Kind and commit of each name.
    pub(super) refs: BTreeMap<String, (RefKind, String)>,
    pub(super) commits: BTreeMap<String, Vec<Entry>>,
}

impl Stored {
    /// The commit that a revision means: a name, or the commit itself.
    pub(super) fn resolve(&self, revision: &str) -> Option<(&str, &[Entry])> {
        let sha = self.refs.get(revision).map_or(revision, |(_, sha)| sha);
        self.commits.get_key_value(sha).map(|(sha, files)| (sha.as_str(), files.as_slice()))
    }

    /// Takes over a new state; returns its commit.
    pub(super) fn commit(&mut self, repo: Repo) -> String {
        let mut text = format!("{} {}\n", repo.id, self.commits.len());
        let mut hash = Sha256::new();
        for entry in &repo.files {
            hash.update(format!("{} {}\n", entry.path, entry.oid()));
        }
        text.push_str(&bf_core::digest::hex(&hash.finalize()));
        let commit = sha1(text.as_bytes());
        let refs = if repo.refs.is_empty() { vec![(RefKind::Branch, "main".into())] } else { repo.refs };
        self.refs.extend(refs.into_iter().map(|(kind, name)| (name, (kind, commit.clone()))));
        self.commits.insert(commit.clone(), repo.files);
        (self.access, self.card) = (repo.access, repo.card);
        self.formerly.extend(repo.formerly);
        commit
    }
}
