//! A folder of models in `huggingface_hub`'s layout: `models--org--name/{blobs,refs,snapshots/<commit>}`.
//!
//! Layout: <https://huggingface.co/docs/huggingface_hub/guides/manage-cache>. Only names and links are read here.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use walkdir::WalkDir;

use super::snapshot::{self, Snapshot};
use super::{ModelError, ModelId, Revision};
use crate::report::Finding;

/// What clients append to the name of a blob while they fetch it.
const UNFINISHED: &str = ".incomplete";

/// The longest content of a ref that is read, in bytes.
const MAX_REF: u64 = 256;

/// The deepest ref: `refs/pr/1` below `refs/` is three levels.
const MAX_REF_DEPTH: usize = 6;

/// Whose folder of models it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Location {
    /// The site's shared cache.
    Cache,
    /// The user's own.
    Home,
}

impl Location {
    /// As in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Home => "home",
        }
    }
}

/// A folder that holds `models--org--name` folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The folder, absolute.
    pub path: PathBuf,
    /// Whose it is.
    pub location: Location,
}

/// One model in one root.
#[derive(Debug)]
pub struct CachedRepo {
    /// Its id, from the folder's name.
    pub id: ModelId,
    /// Whose folder it is in.
    pub location: Location,
    /// Its folder, below the root.
    pub folder: PathBuf,
    /// The same without links: what must be bound into a container.
    pub real_folder: PathBuf,
    /// Commits by the names of branches and tags.
    pub refs: BTreeMap<String, String>,
    /// What is in `snapshots/`, the newest first.
    pub revisions: Vec<CachedRevision>,
    /// Blobs whose download has not finished.
    pub unfinished: Vec<String>,
}

/// One state of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedRevision {
    /// The commit: the folder's name.
    pub commit: String,
    /// The snapshot's folder.
    pub path: PathBuf,
    /// When the folder last changed.
    pub modified: SystemTime,
}

/// The ids of the models in `root`. A root that does not exist has none; what cannot be read is a finding.
pub fn ids(root: &Root) -> (Vec<ModelId>, Vec<Finding>) {
    let (mut ids, mut findings) = (Vec::new(), Vec::new());
    let entries = match fs_err::read_dir(&root.path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (ids, findings),
        Err(error) => {
            findings.push(about(&root.path, "models_unreadable", error.to_string()));
            return (ids, findings);
        }
    };
    for entry in entries {
        match entry {
            Ok(entry) => {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                match ModelId::from_folder_name(&name) {
                    Some(id) if entry.path().is_dir() => ids.push(id),
                    None if name.starts_with("models--") => {
                        let message = format!("{name:?} is skipped: no model has such a folder name");
                        findings.push(about(&root.path, "model_folder_skipped", message));
                    }
                    _ => {}
                }
            }
            Err(error) => findings.push(about(&root.path, "models_unreadable", error.to_string())),
        }
    }
    ids.sort();
    (ids, findings)
}

fn about(path: &Path, code: &'static str, message: String) -> Finding {
    Finding { file: Some(path.to_owned()), ..Finding::warning(code, message) }
}

/// Reads what `root` has of the model `id`; nothing when it has no folder for it.
///
/// # Errors
/// [`ModelError::Restricted`] when this user may not read the folder, [`ModelError::Io`] otherwise.
pub fn repo(root: &Root, id: &ModelId) -> Result<Option<CachedRepo>, ModelError> {
    repo_at(&root.path.join(id.folder_name()), id, root.location)
}

/// As [`repo`], of a model's folder, whatever it is called.
///
/// # Errors
/// As [`repo`].
pub fn repo_at(folder: &Path, id: &ModelId, location: Location) -> Result<Option<CachedRepo>, ModelError> {
    let read = |folder: &Path| -> io::Result<CachedRepo> {
        let real_folder = fs_err::canonicalize(folder)?;
        Ok(CachedRepo {
            id: id.clone(),
            location,
            folder: folder.to_owned(),
            refs: refs(&folder.join("refs")),
            revisions: revisions(&folder.join("snapshots"))?,
            unfinished: unfinished(&folder.join("blobs"))?,
            real_folder,
        })
    };
    match read(folder) {
        Ok(repo) => Ok(Some(repo)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ModelError::of_io(id, &folder.join("snapshots"), error)),
    }
}

/// Refs that cannot be read are left out: the commits they would name are still there by themselves.
fn refs(folder: &Path) -> BTreeMap<String, String> {
    let mut refs = BTreeMap::new();
    for entry in WalkDir::new(folder).max_depth(MAX_REF_DEPTH).into_iter().flatten() {
        let name = entry.path().strip_prefix(folder).ok().and_then(Path::to_str);
        let (true, Some(name)) = (entry.file_type().is_file(), name) else { continue };
        let mut commit = String::new();
        let read = crate::bounded::open(entry.path(), crate::bounded::Links::Follow)
            .and_then(|file| file.take(MAX_REF).read_to_string(&mut commit));
        let commit = commit.trim();
        if read.is_ok() && Revision::parse(name).is_ok() && is_folder_name(commit) {
            refs.insert(name.to_owned(), commit.to_owned());
        }
    }
    refs
}

fn revisions(folder: &Path) -> io::Result<Vec<CachedRevision>> {
    let mut revisions = Vec::new();
    for entry in entries(folder)? {
        let name = entry.file_name();
        let (Some(commit), Ok(metadata)) = (name.to_str(), fs_err::metadata(entry.path())) else { continue };
        if metadata.is_dir() && is_folder_name(commit) {
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            revisions.push(CachedRevision { commit: commit.to_owned(), path: entry.path(), modified });
        }
    }
    revisions.sort_by(|a, b| (Reverse(a.modified), &a.commit).cmp(&(Reverse(b.modified), &b.commit)));
    Ok(revisions)
}

/// A partial file is left over, and harmless, when its blob came in another attempt.
fn unfinished(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in entries(folder)? {
        let name = entry.file_name().to_string_lossy().into_owned();
        // `<hash>.incomplete`, or `<hash>.<random>.incomplete` of newer clients.
        let hash = name.split('.').next().unwrap_or_default();
        if name.ends_with(UNFINISHED) && !folder.join(hash).exists() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The entries of a folder that may be missing.
fn entries(folder: &Path) -> io::Result<Vec<fs_err::DirEntry>> {
    match fs_err::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn is_folder_name(commit: &str) -> bool {
    Revision::parse(commit).is_ok() && !commit.contains('/')
}

impl CachedRepo {
    /// The revision meant when none is named: `main`'s; else the newest that is all there; else the newest.
    pub fn default_revision(&self) -> Option<&CachedRevision> {
        let main = self.refs.get("main").and_then(|commit| self.commit(commit));
        main.or_else(|| self.ready().next()).or(self.revisions.first())
    }

    /// The revision called `name`: a commit, a branch or tag, or the beginning of a commit, in this order.
    ///
    /// # Errors
    /// [`ModelError::RevisionNotFound`] and [`ModelError::AmbiguousRevision`].
    pub fn revision(&self, name: &Revision) -> Result<&CachedRevision, ModelError> {
        let commit = self.refs.get(name.as_str()).map_or(name.as_str(), String::as_str);
        if let Some(revision) = self.commit(name.as_str()).or_else(|| self.commit(commit)) {
            return Ok(revision);
        }
        let prefix = name.as_str().to_ascii_lowercase();
        let fits =
            |revision: &&CachedRevision| name.is_commit_prefix() && revision.commit.starts_with(&prefix);
        let found: Vec<_> = self.revisions.iter().filter(fits).collect();
        let (id, revision) = (self.id.clone(), name.to_string());
        match found[..] {
            [one] => Ok(one),
            [] => Err(ModelError::RevisionNotFound { id, revision, there: self.names() }),
            _ => {
                let there = found.iter().map(|revision| revision.commit.clone()).collect();
                Err(ModelError::AmbiguousRevision { id, revision, there })
            }
        }
    }

    fn commit(&self, commit: &str) -> Option<&CachedRevision> {
        self.revisions.iter().find(|revision| revision.commit == commit)
    }

    /// The revisions there are, each with the branches and tags that lead to it.
    pub fn names(&self) -> Vec<String> {
        let name = |revision: &CachedRevision| {
            let refs: Vec<_> = self
                .refs
                .iter()
                .filter(|(_, commit)| **commit == revision.commit)
                .map(|(name, _)| name.as_str())
                .collect();
            if refs.is_empty() {
                revision.commit.clone()
            } else {
                format!("{} ({})", revision.commit, refs.join(", "))
            }
        };
        self.revisions.iter().map(name).collect()
    }

    /// The revisions that have all their files, the newest first.
    pub fn ready(&self) -> impl Iterator<Item = &CachedRevision> {
        self.revisions.iter().filter(|revision| self.snapshot(revision).is_ok())
    }

    /// The files of a revision, when they are all there and this user may read their names.
    ///
    /// # Errors
    /// [`ModelError::ForeignLink`], [`ModelError::Incomplete`], [`ModelError::Restricted`], [`ModelError::Io`].
    pub fn snapshot(&self, revision: &CachedRevision) -> Result<Snapshot, ModelError> {
        let snapshot = snapshot::read(&revision.path, &self.real_folder)
            .map_err(|error| ModelError::of_io(&self.id, &revision.path, error))?;
        if let Some((link, target)) = snapshot.foreign {
            return Err(ModelError::ForeignLink { id: self.id.clone(), link, target });
        }
        if let Some((path, error)) = snapshot.closed {
            return Err(ModelError::of_io(&self.id, &path, error));
        }
        let mut missing = snapshot.dangling.clone();
        if snapshot.files.is_empty() && missing.is_empty() {
            missing.push("no file is there yet".into());
        }
        if self.unfinished_belong_to(revision) {
            missing.extend(self.unfinished.iter().map(|blob| format!("blobs/{blob} is not finished")));
        }
        if missing.is_empty() {
            return Ok(snapshot);
        }
        Err(ModelError::Incomplete {
            id: self.id.clone(),
            revision: revision.commit.clone(),
            missing,
            ready: vec![],
        })
    }

    /// Nothing says which revision a partial blob is for. Clients write the ref first and the snapshot with its first
    /// finished file: so it is a revision that a ref names but that has no folder yet, else the newest one.
    fn unfinished_belong_to(&self, revision: &CachedRevision) -> bool {
        let awaited = self.refs.values().any(|commit| self.commit(commit).is_none());
        !awaited && self.revisions.first() == Some(revision)
    }
}

#[cfg(test)]
mod tests;
