//! The revision of a model that was imported from a folder and so has no commit of the Hub.
//!
//! The bytes that are hashed: for each file one line, its path below the model's folder with `/` between the parts,
//! one blank (0x20), its SHA-256 in 64 lower case hex digits, one line feed (0x0a). Lines are sorted as bytes. The
//! revision is the first 40 hex digits of the SHA-256 of all lines. It follows from the content alone, so importing
//! the same files again, elsewhere or later, gives the same revision.
//!
//! ```sh
//! find . -type f | sed 's|^\./||' | while read -r f; do
//!   echo "$f $(sha256sum < "$f" | cut -c1-64)"; done | LC_ALL=C sort | sha256sum | cut -c1-40
//! ```

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::report::{Exit, Explain};

/// Why a list of files has no revision.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CommitError {
    /// The path has a line feed or another control character, which would make the lines ambiguous.
    #[error("the file name {path:?} holds a control character")]
    ControlCharacter {
        /// The path below the model's folder.
        path: String,
    },
    /// The digest is not 64 hex digits.
    #[error("{digest:?} of {path:?} is not a SHA-256 digest")]
    NotADigest {
        /// The path below the model's folder.
        path: String,
        /// What was given.
        digest: String,
    },
    /// The same path came twice.
    #[error("the file {path:?} is listed twice")]
    Twice {
        /// The path below the model's folder.
        path: String,
    },
}

impl Explain for CommitError {
    fn code(&self) -> &'static str {
        "model_files_invalid"
    }

    fn exit(&self) -> Exit {
        Exit::Invalid
    }
}

/// The pseudo-commit of files given as (path, SHA-256 in hex), in any order.
///
/// # Errors
/// [`CommitError`] names the file whose path or digest cannot be used.
pub fn pseudo_commit<P: AsRef<str>, D: AsRef<str>>(
    files: impl IntoIterator<Item = (P, D)>,
) -> Result<String, CommitError> {
    let mut paths = BTreeSet::new();
    let mut lines = Vec::new();
    for (path, digest) in files {
        let (path, digest) = (path.as_ref(), digest.as_ref());
        if path.chars().any(char::is_control) {
            return Err(CommitError::ControlCharacter { path: path.to_owned() });
        }
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(CommitError::NotADigest { path: path.to_owned(), digest: digest.to_owned() });
        }
        if !paths.insert(path.to_owned()) {
            return Err(CommitError::Twice { path: path.to_owned() });
        }
        lines.push(format!("{path} {}\n", digest.to_ascii_lowercase()));
    }
    lines.sort_unstable();
    let mut hash = Sha256::new();
    for line in &lines {
        hash.update(line.as_bytes());
    }
    let digits = hash.finalize().into_iter().flat_map(|byte| [byte >> 4, byte & 15]).take(40);
    Ok(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_files_does_not_matter() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let one = pseudo_commit([("model.gguf", &a), ("config.json", &b)]).unwrap();
        let two = pseudo_commit([("config.json", &b.to_lowercase()), ("model.gguf", &a)]).unwrap();
        assert_eq!(one, two);
        assert_ne!(one, pseudo_commit([("model.gguf", &b), ("config.json", &a)]).unwrap());
    }

    #[test]
    fn the_bytes_are_as_documented() {
        // printf 'a <sha256 of nothing>\nb <the same>\n' | sha256sum | cut -c1-40
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let commit = pseudo_commit([("b", empty), ("a", empty)]).unwrap();
        assert_eq!(commit, "d89394eb1f22238f906f6cb0d89c7b7d0f8f680d");
    }

    #[test]
    fn ambiguous_lists_are_refused() {
        let digest = "a".repeat(64);
        assert!(pseudo_commit([("a\nb", digest.as_str())]).is_err());
        assert!(pseudo_commit([("a", "xyz")]).is_err());
        assert!(pseudo_commit([("a", &digest), ("a", &digest)]).is_err());
    }
}
