//! Texts of a form of their own.

use crate::report::Finding;
use crate::spec::parse::Position;

/// A form that a text must have.
pub struct Format {
    /// What it is, for people: `a span of time`.
    pub is: &'static str,
    /// Some, for people and editors. All of them are valid.
    pub examples: &'static [&'static str],
    /// Whether YAML may read it as a number, as `0644`.
    pub is_number: bool,
    /// Whether a text has it; else why not. The first argument is how messages name the value.
    pub check: fn(&str, &str) -> Result<(), Fault>,
}

// The address of a function says nothing.
impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Format").field("is", &self.is).finish_non_exhaustive()
    }
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// As that of a [`Finding`].
    pub code: &'static str,
    /// As that of a [`Finding`].
    pub message: String,
    /// As that of a [`Finding`].
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a hint.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The error at its place.
    pub(super) fn at(self, at: Position) -> Finding {
        let finding = at.error(self.code, self.message);
        Finding { hint: self.hint, ..finding }
    }
}
