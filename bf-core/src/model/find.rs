//! One model by name, as `run` needs it, and all there are, as `model ls` shows them.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::cache::{self, CachedRepo, CachedRevision, Root};
use super::inspect::{inspect, readable};
use super::near::near;
use super::{ModelError, ModelId, ModelInfo, Revision, WeightFormat};
use crate::report::{Explain, Finding};

/// A model that can be loaded, and where it is.
#[derive(Debug)]
pub struct Found {
    /// The model.
    pub info: ModelInfo,
    /// The model's folder without links: bound into a container, it makes all links of the snapshot work.
    pub folder: PathBuf,
    /// Why this one and not another that one might expect.
    pub warnings: Vec<Finding>,
}

/// The models that can be loaded, and what is wrong with the others.
#[derive(Debug, Default, Serialize)]
pub struct Inventory {
    /// By id; of one model the shared cache's first, the default revision first, then the newest.
    pub models: Vec<ModelInfo>,
    /// Folders that cannot be read, models that are incomplete or damaged: each a warning.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

/// Finds the model `id` in `roots`, the first that can be loaded in their order, at `revision` or else its default one.
///
/// # Errors
/// The [`ModelError`] of the first root that has the model, when none has it in a state that can be loaded.
pub fn find(roots: &[Root], id: &ModelId, revision: Option<&str>) -> Result<Found, ModelError> {
    find_format(roots, id, revision, None)
}

/// As [`find`], with the weights in the format `asked` for.
///
/// # Errors
/// As [`find`].
pub fn find_format(
    roots: &[Root],
    id: &ModelId,
    revision: Option<&str>,
    asked: Option<WeightFormat>,
) -> Result<Found, ModelError> {
    let revision = revision.map(Revision::parse).transpose()?;
    let mut failed: Option<ModelError> = None;
    for root in roots {
        match find_in(root, id, revision.as_ref(), asked) {
            Ok(Some(mut found)) => {
                if let Some(error) =
                    failed.filter(|error| !matches!(error, ModelError::RevisionNotFound { .. }))
                {
                    let message = format!("{error}; the one in {} is used", root.path.display());
                    found.warnings.push(Finding::warning(error.code(), message));
                }
                return Ok(found);
            }
            Ok(None) => {}
            Err(error) => {
                failed = Some(match failed {
                    Some(first) => worse(first, error),
                    None => error,
                });
            }
        }
    }
    Err(failed.unwrap_or_else(|| not_found(roots, id)))
}

fn find_in(
    root: &Root,
    id: &ModelId,
    revision: Option<&Revision>,
    asked: Option<WeightFormat>,
) -> Result<Option<Found>, ModelError> {
    let Some(repo) = cache::repo(root, id)? else { return Ok(None) };
    let chosen = match revision {
        Some(revision) => repo.revision(revision)?,
        None => repo
            .default_revision()
            .ok_or_else(|| ModelError::NoSnapshot { id: id.clone(), folder: repo.folder.clone() })?,
    };
    let info = inspect(&repo, chosen, asked).map_err(|error| with_ready(error, &repo, asked))?;
    // Not for lists: it is one more request to the file server for each file.
    readable(id, &repo.snapshot(chosen)?)?;
    let mut warnings = Vec::new();
    if revision.is_none() {
        warnings.extend(main_not_there(&repo, chosen));
    }
    Ok(Some(Found { info, folder: repo.real_folder, warnings }))
}

/// Says so when `main` has moved to a commit that is not on disk.
fn main_not_there(repo: &CachedRepo, chosen: &CachedRevision) -> Option<Finding> {
    let main = repo.refs.get("main").filter(|main| **main != chosen.commit)?;
    let message = format!(
        "revision main of model {} is {main}, which is not on disk; {} is used",
        repo.id, chosen.commit
    );
    Some(Finding::warning("revision_main_missing", message).with_hint("finish its download"))
}

/// Names the revisions that could be used instead of one that is incomplete.
fn with_ready(error: ModelError, repo: &CachedRepo, asked: Option<WeightFormat>) -> ModelError {
    let ModelError::Incomplete { id, revision, missing, .. } = error else { return error };
    let usable = |other: &&CachedRevision| other.commit != revision && inspect(repo, other, asked).is_ok();
    let ready = repo.revisions.iter().filter(usable).map(|other| other.commit.clone()).collect();
    ModelError::Incomplete { id, revision, missing, ready }
}

/// The error worth telling: that the revision is elsewhere says less than what is wrong with it there.
fn worse(first: ModelError, second: ModelError) -> ModelError {
    match (first, second) {
        (
            ModelError::RevisionNotFound { id, revision, mut there },
            ModelError::RevisionNotFound { there: more, .. },
        ) => {
            there.extend(more);
            ModelError::RevisionNotFound { id, revision, there }
        }
        (ModelError::RevisionNotFound { .. }, second) => second,
        (first, _) => first,
    }
}

fn not_found(roots: &[Root], id: &ModelId) -> ModelError {
    let names = roots.iter().flat_map(|root| cache::ids(root).0).map(|id| id.to_string());
    ModelError::NotFound {
        id: id.clone(),
        roots: roots.iter().map(|root| root.path.clone()).collect(),
        near: near(&id.to_string(), names),
    }
}

/// Lists every revision of every model in `roots`. Nothing that is wrong with one hides the others.
pub fn list(roots: &[Root]) -> Inventory {
    let mut inventory = Inventory::default();
    for root in roots {
        let (ids, findings) = cache::ids(root);
        inventory.findings.extend(findings);
        for id in ids {
            match cache::repo(root, &id) {
                Ok(Some(repo)) => inventory.add(&repo),
                Ok(None) => {}
                Err(error) => {
                    let folder = root.path.join(id.folder_name());
                    if !is_for_others(&error, &folder) {
                        inventory.warn(&error, folder);
                    }
                }
            }
        }
    }
    // Stable: roots and revisions keep their order within a model.
    inventory.models.sort_by(|a, b| a.repo.cmp(&b.repo));
    inventory
}

/// Whether a model's folder is for the members of a group, and whoever asks is none. One that is closed in part is not as it should be.
fn is_for_others(error: &ModelError, folder: &Path) -> bool {
    matches!(error, ModelError::Restricted { group: Some(_), .. })
        && fs_err::read_dir(folder).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

impl Inventory {
    fn add(&mut self, repo: &CachedRepo) {
        if repo.revisions.is_empty() {
            let error = ModelError::NoSnapshot { id: repo.id.clone(), folder: repo.folder.clone() };
            self.warn(&error, repo.folder.clone());
        }
        let default = repo.default_revision();
        let others = repo.revisions.iter().filter(|revision| Some(*revision) != default);
        for revision in default.into_iter().chain(others) {
            match inspect(repo, revision, None) {
                Ok(info) => self.models.push(info),
                Err(error) => self.warn(&error, revision.path.clone()),
            }
        }
    }

    fn warn(&mut self, error: &ModelError, file: PathBuf) {
        let finding = Finding::warning(error.code(), error.to_string());
        self.findings.push(Finding { hint: error.hint(), file: Some(file), ..finding });
    }
}

#[cfg(test)]
mod tests;
