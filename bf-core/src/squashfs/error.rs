//! What can go wrong while a squashfs is written.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::report::{Exit, Explain};

/// Why there is no squashfs.
#[derive(Debug, Error)]
pub enum SquashfsError {
    /// The text, or the level, is no compression that there is.
    #[error("{given:?} is no compression: gzip, gzip:1 to gzip:12, zstd, zstd:1 to zstd:22 are")]
    Compression {
        /// What was given.
        given: String,
    },
    /// The file cannot be written, or a thread cannot be started.
    #[error("cannot {act}: {source}")]
    Io {
        /// What was to be done, as in "write the image's data".
        act: &'static str,
        /// Why it was not.
        source: io::Error,
    },
    /// An earlier error ended the writing, and was given to the caller then.
    #[error("the image's data is not written on after an earlier error")]
    Stopped,
    /// A thread ended without an error: a fault of this program.
    #[error("a thread that wrote the image's data ended early")]
    ThreadEnded,
    /// A regular file that is too large.
    #[error("a file has more than 1 TiB, counting its holes")]
    FileTooLarge,
    /// More than the format can number.
    #[error("there are too many {what}: {limit} is the most that squashfs can have")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there can be.
        limit: u64,
    },
    /// Something of the tree that squashfs cannot have, or that no system can read.
    #[error("{}: {reason}", Shown(path))]
    Unstorable {
        /// Where, from the root of the image, with slashes.
        path: Vec<u8>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An extended attribute that squashfs cannot have.
    #[error("{}: the extended attribute {} cannot be stored: {reason}", Shown(path), Shown(name))]
    Xattr {
        /// Of what.
        path: Vec<u8>,
        /// Its whole name.
        name: Vec<u8>,
        /// Why not.
        reason: &'static str,
    },
}

impl SquashfsError {
    /// For `map_err`: what was to be done when it failed.
    pub(super) fn io(act: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { act, source }
    }
}

/// Bytes of a name, in one line and in a length that a terminal bears.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 300;
        let start = self.0.len().saturating_sub(MOST);
        let ellipsis = if start > 0 { "..." } else { "" };
        write!(f, "{ellipsis}{}", self.0.get(start..).unwrap_or_default().escape_ascii())
    }
}

impl Explain for SquashfsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Compression { .. } => "invalid_compression",
            Self::Io { source, .. } => source.code(),
            Self::Stopped | Self::ThreadEnded => "squashfs_stopped",
            Self::FileTooLarge | Self::TooMany { .. } => "squashfs_limit",
            Self::Unstorable { .. } | Self::Xattr { .. } => "squashfs_unstorable",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => source.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Compression { .. } => Exit::Usage,
            Self::Io { source, .. } => source.exit(),
            Self::Stopped | Self::ThreadEnded => Exit::Failed,
            _ => Exit::Invalid,
        }
    }
}
