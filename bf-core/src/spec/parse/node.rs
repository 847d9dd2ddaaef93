//! The tree of a YAML document, with positions.

use crate::report::Finding;

/// A place in a text. Both count from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in the line, in characters, from 1.
    pub column: u32,
}

impl Position {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// An error at this place.
    pub fn error(self, code: &'static str, message: impl Into<String>) -> Finding {
        Finding::error(code, message).at(self.line, self.column)
    }

    /// A warning at this place.
    pub fn warning(self, code: &'static str, message: impl Into<String>) -> Finding {
        Finding::warning(code, message).at(self.line, self.column)
    }
}

/// A value and where it is written. What an alias (`*name`) stands for keeps the place of its definition, as that
/// is where it would be changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its first character; for a map, that of its first key; for nothing at all, the colon or dash that it should follow.
    pub at: Position,
}

/// The values YAML knows, after its core schema (version 1.2).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`; `yes` and `no` are text.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number, also whole ones beyond 64 bits.
    Float(f64),
    /// Text, quoted or not.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in file order, each key once.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key as text, also where it looks like a number.
    pub key: String,
    /// Where the key is written.
    pub at: Position,
    /// The value.
    pub value: Node,
}

impl Value {
    /// What it is, for messages: `text "two"`, `a list`.
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".into(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Int(value) => format!("{value}"),
            Self::Float(value) => format!("{value}"),
            Self::Text(value) if value.chars().count() <= 40 => format!("the text {value:?}"),
            Self::Text(_) => "a text".into(),
            Self::List(_) => "a list".into(),
            Self::Map(_) => "a map".into(),
        }
    }
}

impl Node {
    /// Whether it is nothing: null, or a list or map without content.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }
}
