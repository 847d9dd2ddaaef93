//! One thing that a check found, with its place in a file.

use std::path::PathBuf;

use serde::Serialize;

/// Whether a finding makes the input unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The input cannot be used as it is.
    Error,
    /// The input can be used; something in it is probably not meant.
    Warning,
}

/// One finding about an input: what, where, and what to do. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Error or warning.
    pub severity: Severity,
    /// Stable, lower case, with underscores (`unknown_key`).
    pub code: &'static str,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to write instead, where we know.
    pub hint: Option<String>,
    /// The file it is about.
    #[serde(serialize_with = "crate::report::lossy::maybe")]
    pub file: Option<PathBuf>,
    /// Line in the file, from 1.
    pub line: Option<u32>,
    /// Column in the line, in characters, from 1.
    pub column: Option<u32>,
}

impl Finding {
    /// An error without place and hint.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            hint: None,
            file: None,
            line: None,
            column: None,
        }
    }

    /// A warning without place and hint.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the place: line and column, both from 1.
    #[must_use]
    pub fn at(mut self, line: u32, column: u32) -> Self {
        self.line = Some(line);
        self.column = Some(column);
        self
    }
}
