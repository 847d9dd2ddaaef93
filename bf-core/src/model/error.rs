//! The one error of this module: what is wrong with a model that somebody asked for.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{HeaderError, ModelId, WeightFormat};
use crate::report::{Exit, Explain};

/// The most names that a hint or message lists.
const LISTED: usize = 5;

/// Why a model cannot be named, found or used.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The text is no model id.
    #[error("{:?} is not a model id: {reason}", short(text))]
    InvalidId {
        /// What was given.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The text is no revision.
    #[error("{:?} is not a revision: {reason}", short(text))]
    InvalidRevision {
        /// What was given.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// No folder has this model.
    #[error("model {id} is not in {}", paths(roots))]
    NotFound {
        /// The model asked for.
        id: ModelId,
        /// Where it was looked for.
        roots: Vec<PathBuf>,
        /// Models there with similar names, the nearest first.
        near: Vec<String>,
    },
    /// The model is there, this revision of it is not.
    #[error("model {id} has no revision {:?} on disk", short(revision))]
    RevisionNotFound {
        /// The model asked for.
        id: ModelId,
        /// The revision asked for.
        revision: String,
        /// The names and commits that there are.
        there: Vec<String>,
    },
    /// Several commits begin like this.
    #[error("revision {revision:?} of model {id} can be any of {}", listed(there))]
    AmbiguousRevision {
        /// The model asked for.
        id: ModelId,
        /// The beginning of a commit.
        revision: String,
        /// The commits that begin with it.
        there: Vec<String>,
    },
    /// A download has not finished, or files were removed.
    #[error("model {id} at revision {revision} is incomplete: {}", listed(missing))]
    Incomplete {
        /// The model asked for.
        id: ModelId,
        /// The revision's folder name.
        revision: String,
        /// What is missing, each a short phrase.
        missing: Vec<String>,
        /// Revisions of the same model that are all there.
        ready: Vec<String>,
    },
    /// The model's folder has no revision at all.
    #[error("model {id} has no snapshot in {}", folder.display())]
    NoSnapshot {
        /// The model asked for.
        id: ModelId,
        /// The model's folder.
        folder: PathBuf,
    },
    /// A weight file, or the list of weight files, is not what it should be.
    #[error("{} is damaged: {source}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// The files cannot be read by this user.
    #[error("model {id} cannot be read: no permission for {}", path.display())]
    Restricted {
        /// The model asked for.
        id: ModelId,
        /// The first file or folder that is closed.
        path: PathBuf,
        /// The group that it belongs to, when membership would open it.
        group: Option<String>,
    },
    /// There is nothing an engine could load.
    #[error("model {id} has no {}weights in {}", wanted(*asked), path.display())]
    NoWeights {
        /// The model asked for.
        id: ModelId,
        /// The snapshot's folder.
        path: PathBuf,
        /// The format that was asked for, if one was.
        asked: Option<WeightFormat>,
        /// The formats that there are.
        there: Vec<WeightFormat>,
    },
    /// A link leads out of the model's folder.
    #[error("model {id} is refused: {} leads out of the model's folder, to {}", link.display(), target.display())]
    ForeignLink {
        /// The model asked for.
        id: ModelId,
        /// The link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// Reading failed for another reason; the message names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ModelError {
    /// A header's error about `file`, told apart by what the reader can do about it.
    pub(super) fn of_header(id: &ModelId, file: &Path, source: HeaderError) -> Self {
        match source {
            HeaderError::Io(error) => Self::of_io(id, file, error),
            source => Self::Damaged { file: file.to_owned(), source },
        }
    }

    /// An input or output error at `path`: closed to this user, or something else.
    pub(super) fn of_io(id: &ModelId, path: &Path, error: io::Error) -> Self {
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Self::Io(error);
        }
        Self::Restricted { id: id.clone(), path: path.to_owned(), group: super::inspect::closed_group(path) }
    }
}

impl Explain for ModelError {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidId { .. } => "model_id_invalid",
            Self::InvalidRevision { .. } => "revision_invalid",
            Self::NotFound { .. } => "model_not_found",
            Self::RevisionNotFound { .. } => "revision_not_found",
            Self::AmbiguousRevision { .. } => "revision_ambiguous",
            Self::Incomplete { .. } | Self::NoSnapshot { .. } => "model_incomplete",
            Self::Damaged { .. } => "model_damaged",
            Self::Restricted { .. } => "model_restricted",
            Self::NoWeights { .. } => "model_without_weights",
            Self::ForeignLink { .. } => "model_link_refused",
            Self::Io(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InvalidId { .. } => Some("write it as the Hub does: organisation/name".into()),
            Self::InvalidRevision { .. } => Some("give a commit, at least its first 7 digits, or a name such as `main`".into()),
            Self::NotFound { near, .. } if near.is_empty() => Some("`model ls` shows the models there are".into()),
            Self::NotFound { near, .. } => Some(format!("did you mean {}?", listed(near))),
            Self::RevisionNotFound { there, .. } if there.is_empty() => Some("there is no revision of it at all".into()),
            Self::RevisionNotFound { there, .. } => Some(format!("there is {}", listed(there))),
            Self::AmbiguousRevision { .. } => Some("give more digits of the commit".into()),
            Self::Incomplete { ready, .. } if !ready.is_empty() => {
                Some(format!("finish its download, or use `--revision {}`, which is all there", ready[0]))
            }
            Self::Incomplete { .. } | Self::NoSnapshot { .. } => {
                Some("finish its download, or wait for it if it is still running".into())
            }
            Self::Damaged { .. } => Some("in a shared cache an administrator mends it: `bf-admin status` says how; else put the model there again".into()),
            Self::Restricted { group: Some(group), .. } => {
                Some(format!("ask the administrator to add you to the group {group}"))
            }
            Self::Restricted { group: None, .. } => Some("ask the owner of the folder for permission to read it".into()),
            Self::NoWeights { there, .. } if there.is_empty() => {
                Some("weights are *.safetensors, *.gguf, ggml-*.bin or *.bin, *.pt and *.pth".into())
            }
            Self::NoWeights { there, .. } => {
                let names: Vec<_> = there.iter().map(|format| format.name().to_owned()).collect();
                Some(format!("there is {}", listed(&names)))
            }
            Self::ForeignLink { .. } => Some(
                "fetch it again without a store shared between models (HF_HUB_DISABLE_XET=1), or import a copy of the files".into(),
            ),
            Self::Io(error) => error.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::InvalidId { .. } | Self::InvalidRevision { .. } | Self::AmbiguousRevision { .. } => {
                Exit::Usage
            }
            Self::NotFound { .. } | Self::RevisionNotFound { .. } => Exit::NotFound,
            Self::Restricted { .. } => Exit::Permission,
            Self::Io(error) => error.exit(),
            _ => Exit::Invalid,
        }
    }
}

fn wanted(asked: Option<WeightFormat>) -> String {
    asked.map(|format| format!("{} ", format.name())).unwrap_or_default()
}

fn short(text: &str) -> String {
    const LENGTH: usize = 60;
    if text.chars().count() <= LENGTH {
        text.to_owned()
    } else {
        text.chars().take(LENGTH).chain(['…']).collect()
    }
}

fn paths(roots: &[PathBuf]) -> String {
    if roots.is_empty() {
        return "any folder, because none was given".into();
    }
    roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(" or ")
}

fn listed(names: &[String]) -> String {
    let text = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}
