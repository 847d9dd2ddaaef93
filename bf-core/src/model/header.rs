//! What can be wrong with a file of weights, as its header tells.

use std::io;

use thiserror::Error;

/// How a file that should have been fetched by git LFS begins when it was not.
pub(super) const LFS_POINTER: &[u8] = b"version ";

/// Why a weight file's header could not be read, or does not fit the file.
#[derive(Debug, Error)]
pub enum HeaderError {
    /// The file could not be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is shorter than its own header says.
    #[error("it is cut off: {bytes} bytes are there, {needed} are needed")]
    Truncated {
        /// The file's length in bytes.
        bytes: u64,
        /// The least length in bytes that the header asks for.
        needed: u64,
    },
    /// The file is longer than its own header says.
    #[error("it has {bytes} bytes, its header accounts for {expected}")]
    TooLong {
        /// The file's length in bytes.
        bytes: u64,
        /// The length in bytes that the header describes.
        expected: u64,
    },
    /// The bytes are not what the format asks for.
    #[error("{reason} (at byte {at})")]
    Malformed {
        /// What is not as it should be.
        reason: &'static str,
        /// Where in the file, in bytes from its begin.
        at: u64,
    },
    /// The header's JSON cannot be read.
    #[error("its header is not valid: {source}")]
    Json {
        /// What the JSON parser says.
        source: serde_json::Error,
    },
    /// A text of git LFS stands where the weights should be.
    #[error("it is a git LFS pointer, the weights themselves were not fetched")]
    LfsPointer,
    /// A version or byte order of the format that engines here do not load.
    #[error("{what} is not supported")]
    Unsupported {
        /// The version or variant.
        what: &'static str,
    },
}
