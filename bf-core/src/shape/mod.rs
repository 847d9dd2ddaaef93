//! What a configuration file may hold, described once.
//!
//! A [`Map`] lists the keys of a file. [`check()`] reads a tree by it and notes every fault, [`View`] takes the values out
//! afterwards, [`json_schema`] is what editors check by, [`table`] is what people read in `docs/formats.md`. None of them can say
//! anything else than the others.

mod check;
mod format;
mod schema;
mod table;
mod view;

pub use check::check;
pub use format::{Fault, Format};
pub use schema::json_schema;
pub use table::table;
pub use view::View;

/// A map with fixed keys.
#[derive(Debug)]
pub struct Map {
    /// How messages name one that has no key of its own: `the file`, `a model`.
    pub called: &'static str,
    /// All keys it may have.
    pub keys: &'static [Key],
    /// Whether there may be others: in files that only programs write, where newer ones add some.
    pub is_open: bool,
}

impl Map {
    /// A map that has these keys and no others.
    pub const fn of(called: &'static str, keys: &'static [Key]) -> Self {
        Self { called, keys, is_open: false }
    }
}

/// A key of a map.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What its value is.
    pub shape: Shape,
    /// Whether it must be there. One that need not may also be empty.
    pub is_required: bool,
    /// What counts without it, for people; empty where there is nothing to say.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Who acts on it.
    pub by: By,
}

impl Key {
    /// An optional key that bf-admin obeys.
    pub const fn new(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self { name, shape, is_required: false, default: "", doc, by: By::Admin }
    }

    /// It must be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// What counts without it.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    /// Who acts on it.
    #[must_use]
    pub const fn by(self, by: By) -> Self {
        Self { by, ..self }
    }
}

/// Who acts on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The administrator's program.
    Admin,
    /// The program of users, by the cache's copy of the file.
    User,
    /// Nobody in this version: it is kept, and a warning says so.
    Nobody,
    /// Nobody in this version, of a whole section: a warning says so, `setup` skips it, and `status` does not take it for a fault.
    Later,
    /// Nobody in this version, and without it the cache would not be what was declared: an error.
    Refused,
}

/// What a value is.
#[derive(Debug)]
pub enum Shape {
    /// One line of text that is not empty.
    Text,
    /// Text of any number of lines, also none.
    Lines,
    /// `true` or `false`.
    Bool,
    /// A whole number, from the first to the second.
    Whole(u32, u32),
    /// A whole number of 64 bits, which programs write.
    Bytes,
    /// A number above 0.
    Positive,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Text of a form of its own.
    Format(&'static Format),
    /// A list of such values.
    List(&'static Shape),
    /// A map with fixed keys.
    Map(&'static Map),
    /// A map whose keys are names that the author chose, to such values.
    Named(&'static Format, &'static Shape),
    /// Such a value, or nothing, which must then be written.
    OrNull(&'static Shape),
}

#[cfg(test)]
mod tests;
