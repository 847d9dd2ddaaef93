//! Why the lock was not taken, or is not held any more.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::{Owner, seconds};
use crate::report::{Exit, Explain};

/// Why the lock was not taken, or is not held any more.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody else is writing.
    #[error("the cache {} is being changed by {}{}", cache.display(), who(owner.as_deref()), after(*waited))]
    Busy {
        /// The cache.
        cache: PathBuf,
        /// Who holds the lock, if the claim says so.
        owner: Option<Box<Owner>>,
        /// How long we waited, if we did.
        waited: Option<Duration>,
    },
    /// This process was silent for so long that it was taken for dead, or somebody removed its claim.
    #[error("this run lost the cache {}{}", cache.display(), to(by.as_deref()))]
    Lost {
        /// The cache.
        cache: PathBuf,
        /// Who took over, if somebody did.
        by: Option<Box<Owner>>,
    },
    /// A file of the lock cannot be made or read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn who(owner: Option<&Owner>) -> String {
    owner.map_or_else(|| "another process".into(), ToString::to_string)
}

fn after(waited: Option<Duration>) -> String {
    waited.map(|waited| format!(", also after {} of waiting", seconds(waited))).unwrap_or_default()
}

fn to(by: Option<&Owner>) -> String {
    match by {
        Some(owner) => format!(": it was not heard of for too long, and {owner} took over"),
        None => ": its lock was removed".into(),
    }
}

impl Explain for LockError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::Lost { .. } => "lock_lost",
            Self::Io(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Busy { .. } => {
                Some("run the command again when that has finished, or with `--wait`".into())
            }
            Self::Lost { .. } => Some(
                "nothing was published after that; run the command again when nobody else changes the cache"
                    .into(),
            ),
            Self::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => Some(
                "a lock is a file that bf-admin wrote: find out who put something else there, and move it away".into(),
            ),
            Self::Io(error) => error.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Busy { .. } | Self::Lost { .. } => Exit::Busy,
            Self::Io(error) => error.exit(),
        }
    }
}
