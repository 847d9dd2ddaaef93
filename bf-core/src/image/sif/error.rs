//! What can be wrong with a SIF file.

use std::io;

use thiserror::Error;

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
    #[error("it has a version of the SIF format that is not known")]
    Unsupported,
}

impl SifError {
    pub(super) fn malformed(reason: &'static str) -> Self {
        Self::Malformed { reason }
    }
}
