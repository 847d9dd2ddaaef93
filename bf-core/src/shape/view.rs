//! Takes the values out of a map that was checked. What is not as it should be was noted then, and counts as absent.

use crate::spec::parse::{Entry, Node, Position, Value};

/// A map of a tree, or none.
#[derive(Debug, Clone, Copy)]
pub struct View<'n> {
    entries: &'n [Entry],
    at: Position,
}

impl<'n> View<'n> {
    /// The entries of a map; none of anything else.
    pub fn of(node: &'n Node) -> Self {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        Self { entries, at: node.at }
    }

    /// What is at `key`, unless it is nothing.
    pub fn node(&self, key: &str) -> Option<&'n Node> {
        let node = &self.entries.iter().find(|entry| entry.key == key)?.value;
        (node.value != Value::Null).then_some(node)
    }

    /// Where the value of `key` is; the map's own place when it is not there.
    pub fn at(&self, key: &str) -> Position {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.at, |entry| entry.value.at)
    }

    /// The map at `key`; an empty one where there is none.
    #[must_use]
    pub fn map(&self, key: &str) -> Self {
        self.node(key).map_or(Self { entries: &[], at: self.at }, View::of)
    }

    /// All entries.
    pub fn entries(&self) -> &'n [Entry] {
        self.entries
    }

    /// A text that is not empty; also a whole number, as it would be written.
    pub fn text(&self, key: &str) -> Option<String> {
        text(self.node(key)?)
    }

    /// The value of a text that was checked by its format.
    pub fn parsed<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.text(key)?.parse().ok()
    }

    /// `true` or `false`.
    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.node(key)?.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A whole number.
    pub fn whole(&self, key: &str) -> Option<u32> {
        match self.node(key)?.value {
            Value::Int(value) => u32::try_from(value).ok(),
            _ => None,
        }
    }

    /// The items of a list; none of anything else.
    pub fn list(&self, key: &str) -> &'n [Node] {
        match self.node(key).map(|node| &node.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// The texts of a list.
    pub fn texts(&self, key: &str) -> Vec<String> {
        self.list(key).iter().filter_map(text).collect()
    }
}

fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}
