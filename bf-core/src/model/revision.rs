//! What a state of a model is called: a commit, the beginning of one, or a branch or tag.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::ModelError;

/// The shortest beginning of a commit that is looked up, in hex digits: what git shows.
const SHORTEST_PREFIX: usize = 7;

/// The longest name of a branch or tag, in bytes: a file name's limit.
const MAX_LENGTH: usize = 255;

/// The name of a revision that is safe to use as a path below `refs/` or `snapshots/`.
///
/// A commit is 40 hex digits; everything else is a branch or tag, as `main` or `refs/pr/1`, by git's rules for
/// reference names (`git help check-ref-format`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(String);

impl Revision {
    /// Reads a revision.
    ///
    /// # Errors
    /// [`ModelError::InvalidRevision`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(reason) => Err(ModelError::InvalidRevision { text: text.to_owned(), reason }),
        }
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a full commit: 40 hex digits.
    pub fn is_commit(&self) -> bool {
        self.0.len() == 40 && self.is_hex()
    }

    /// Whether this can be the beginning of a commit: 7 to 40 hex digits.
    pub fn is_commit_prefix(&self) -> bool {
        (SHORTEST_PREFIX..=40).contains(&self.0.len()) && self.is_hex()
    }

    fn is_hex(&self) -> bool {
        self.0.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

fn broken_rule(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > MAX_LENGTH {
        return Some("it is longer than 255 characters");
    }
    if text.starts_with('-') {
        return Some("it begins with '-'");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || "\\~^:?*[".contains(c)) {
        return Some("it holds a blank or one of \\ ~ ^ : ? * [");
    }
    if text.contains("..") || text.contains("@{") {
        return Some("it holds '..' or '@{'");
    }
    if text.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with('.')) {
        return Some("a part between slashes is empty or begins or ends with '.'");
    }
    None
}

impl FromStr for Revision {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        Self::parse(text)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_prefixes_and_names_are_told_apart() {
        let read = |text: &str| Revision::parse(text).unwrap();
        assert!(read(&"0a".repeat(20)).is_commit());
        assert!(read("0a1b2c3").is_commit_prefix() && !read("0a1b2c3").is_commit());
        for name in ["main", "refs/pr/1", "v1.0", "0a1b2c", "feature/x_y-z"] {
            assert!(!read(name).is_commit_prefix(), "{name}");
        }
    }

    #[test]
    fn what_could_leave_the_folder_is_refused() {
        let long = "a".repeat(256);
        for text in [
            "", "..", "../x", "a/../b", "/etc", "a//b", "a/", ".hidden", "a/.b", "a.", "a\0", "a\\b", "a b",
            "a\n", "-x", "a^", "a:b", "x@{1}", &long,
        ] {
            assert!(Revision::parse(text).is_err(), "{text:?}");
        }
    }
}
