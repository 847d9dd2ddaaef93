//! What can be wrong with a SIF file.

use std::io;

use thiserror::Error;

use crate::report::{Exit, Explain};

/// Why a file is no whole SIF.
#[derive(Debug, Error)]
pub enum SifError {
    /// It cannot be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A folder, a pipe, a device: nothing that a SIF could be in, and some of them would never end.
    #[error("it is not a regular file")]
    NotAFile,
    /// It is something else.
    #[error("it is not a SIF file")]
    NotASif,
    /// It is shorter than its own header says.
    #[error("it is cut off: {bytes} bytes are there, {needed} are needed")]
    Truncated {
        /// The file's length.
        bytes: u64,
        /// The least length that the header asks for.
        needed: u64,
    },
    /// It says something that cannot be.
    #[error("{reason}")]
    Malformed {
        /// What is not as it should be.
        reason: &'static str,
    },
    /// A version of the format that nobody has written yet.
    #[error("it has a version of the SIF format, or of our record in it, that is not known")]
    Unsupported,
    /// It was not made by us, so it does not hold what it could be compared with.
    #[error(
        "it holds no record of its own content: Blackfish did not make it, or the record's entry is damaged"
    )]
    NoProvenance,
    /// Something that was to be written into it is longer than any reader accepts.
    #[error("{what} is longer than {limit} bytes")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// Bytes that are allowed.
        limit: u64,
    },
}

impl SifError {
    pub(crate) fn malformed(reason: &'static str) -> Self {
        Self::Malformed { reason }
    }
}

impl Explain for SifError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io(error) => error.code(),
            Self::NoProvenance => "image_not_recorded",
            Self::TooLong { .. } => "image_refused",
            _ => "image_damaged",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io(error) => error.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Io(error) => error.exit(),
            _ => Exit::Invalid,
        }
    }
}
