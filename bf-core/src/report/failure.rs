//! The one error that commands return: what, which code, what to do, which exit.

use std::fmt;
use std::io;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::Exit;

/// What an error type of a module says about itself besides its message.
pub trait Explain: std::error::Error {
    /// Stable, lower case, with underscores: for scripts (`model_not_found`).
    fn code(&self) -> &'static str;
    /// What the reader can do about it, where we know.
    fn hint(&self) -> Option<String> {
        None
    }
    /// The exit code it leads to.
    fn exit(&self) -> Exit;
}

/// A failed command: one sentence, a stable code, a hint where we know the fix, the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable, lower case, with underscores.
    pub code: &'static str,
    /// One sentence that names the thing and the place, without a full stop.
    pub message: String,
    /// What to do, where we know.
    pub hint: Option<String>,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, exit }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        let message = without_number(&error.to_string());
        Self { code: error.code(), message, hint: error.hint(), exit: error.exit() }
    }
}

/// The system's messages end with a number in parentheses, which tells a reader nothing that the words did not.
pub(crate) fn without_number(message: &str) -> String {
    let mut rest = message;
    let mut text = String::with_capacity(message.len());
    while let Some((before, after)) = rest.split_once(" (os error ") {
        let digits = after.trim_start_matches(|character: char| character.is_ascii_digit());
        let Some(tail) = digits.strip_prefix(')').filter(|_| digits.len() < after.len()) else { break };
        text.push_str(before);
        rest = tail;
    }
    text.push_str(rest);
    text
}

/// `fs_err` puts the path into the message; the kind decides the exit code.
// So that an `io::Error` can carry one through a reader.
impl std::error::Error for Failure {}

/// The failure that an `io::Error` carries.
fn carried(error: &io::Error) -> Option<&Failure> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

impl Explain for io::Error {
    fn code(&self) -> &'static str {
        if let Some(failure) = carried(self) {
            return failure.code;
        }
        match self.kind() {
            io::ErrorKind::NotFound => "file_not_found",
            io::ErrorKind::PermissionDenied => "permission_denied",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "no_space",
            io::ErrorKind::ReadOnlyFilesystem => "read_only",
            io::ErrorKind::InvalidData => "invalid_file",
            _ => "io_error",
        }
    }

    fn hint(&self) -> Option<String> {
        if let Some(failure) = carried(self) {
            return failure.hint.clone();
        }
        match self.kind() {
            io::ErrorKind::StorageFull => {
                Some(
                "free some on that filesystem (`df` and `df -i` show what is used up) and run the command again".into(),
            )
            }
            io::ErrorKind::QuotaExceeded => Some("your quota is used up: free space or ask for more".into()),
            io::ErrorKind::ReadOnlyFilesystem => Some("choose a place that can be written to".into()),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        if let Some(failure) = carried(self) {
            return failure.exit;
        }
        match self.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            io::ErrorKind::PermissionDenied => Exit::Permission,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem => {
                Exit::CannotCreate
            }
            // Not the kind of file that it must be, or not what must be in it.
            io::ErrorKind::InvalidData => Exit::Invalid,
            _ => Exit::Failed,
        }
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut error = serializer.serialize_struct("Failure", 4)?;
        error.serialize_field("code", self.code)?;
        error.serialize_field("message", &self.message)?;
        error.serialize_field("hint", &self.hint)?;
        error.serialize_field("exit", &self.exit.code())?;
        error.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_names_the_path_and_the_exit() {
        let failure = Failure::from(fs_err::read("/nonexistent/file").unwrap_err());
        assert_eq!(failure.exit, Exit::NotFound);
        assert!(failure.message.contains("/nonexistent/file"), "{failure}");
        assert!(!failure.message.contains("os error"), "{failure}");
        assert_eq!(without_number("a: b (os error 2); c (os error x)"), "a: b; c (os error x)");
    }
}
