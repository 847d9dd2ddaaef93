//! Reads the entries of one map: required and optional, typed, and none unknown.

use std::ops::RangeInclusive;

use super::{Entry, Node, Position, Reader, Value, closest};

/// One map. Ask for every key it may have, then call [`MapReader::finish`], which reports the others as unknown.
///
/// An optional key whose value is `null`, or nothing, counts as absent.
#[derive(Debug)]
#[must_use = "call `finish` to report unknown keys"]
pub struct MapReader<'r, 'n> {
    reader: &'r Reader,
    entries: &'n [Entry],
    at: Position,
    what: String,
    asked: Vec<&'static str>,
}

impl<'r, 'n> MapReader<'r, 'n> {
    pub(super) fn new(reader: &'r Reader, entries: &'n [Entry], at: Position, what: &str) -> Self {
        Self { reader, entries, at, what: what.to_owned(), asked: Vec::new() }
    }

    /// Where the map is.
    pub fn at(&self) -> Position {
        self.at
    }

    /// Where the value of `key` is; the map's own place when it is not there.
    pub fn at_value(&self, key: &str) -> Position {
        self.find(key).map_or(self.at, |entry| entry.value.at)
    }

    /// The entry of `key`, also with a null value. Does not count as asked for.
    pub fn find(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn ask(&mut self, key: &'static str) {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
    }

    /// The entry of `key`; a missing one is noted.
    pub fn required(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.ask(key);
        let entry = self.find(key);
        if entry.is_none() {
            self.reader.note(self.at.error("missing_key", format!("{} has no `{key}`", self.what)));
        }
        entry
    }

    /// The entry of `key`, unless it is missing or null.
    pub fn optional(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.ask(key);
        self.find(key).filter(|entry| entry.value.value != Value::Null)
    }

    /// One line of text that is not empty.
    pub fn required_string(&mut self, key: &'static str) -> Option<String> {
        self.required(key).and_then(|entry| self.reader.string(&entry.value, &name(key)))
    }

    /// One line of text; an empty one counts as absent.
    pub fn optional_string(&mut self, key: &'static str) -> Option<String> {
        let entry = self.optional(key)?;
        if matches!(&entry.value.value, Value::Text(text) if text.trim().is_empty()) {
            return None;
        }
        self.reader.string(&entry.value, &name(key))
    }

    /// Text of any number of lines, also none.
    pub fn required_text(&mut self, key: &'static str) -> Option<String> {
        self.required(key).and_then(|entry| self.reader.text(&entry.value, &name(key)))
    }

    /// `true` or `false`.
    pub fn optional_bool(&mut self, key: &'static str) -> Option<bool> {
        self.optional(key).and_then(|entry| self.reader.boolean(&entry.value, &name(key)))
    }

    /// A whole number within `range`.
    pub fn required_whole(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        self.required(key).and_then(|entry| self.reader.whole(&entry.value, &name(key), range))
    }

    /// A whole number within `range`.
    pub fn optional_whole(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        self.optional(key).and_then(|entry| self.reader.whole(&entry.value, &name(key), range))
    }

    /// One of the words `of`, by its place in `of`.
    pub fn optional_choice(&mut self, key: &'static str, of: &[&str]) -> Option<usize> {
        let entry = self.optional(key)?;
        self.reader.choice(&entry.value, &name(key), of)
    }

    /// The map of `key`.
    pub fn optional_map(&mut self, key: &'static str) -> Option<MapReader<'r, 'n>> {
        let entry = self.optional(key)?;
        self.reader.map_of(entry, &name(key))
    }

    /// The entries of the map of `key`, whose keys are names that the author chose.
    pub fn optional_entries(&mut self, key: &'static str) -> &'n [Entry] {
        match self.optional(key).map(|entry| &entry.value) {
            Some(Node { value: Value::Map(entries), .. }) => entries,
            Some(node) => {
                self.reader.map(node, &name(key));
                &[]
            }
            None => &[],
        }
    }

    /// The items of a list.
    pub fn required_list(&mut self, key: &'static str) -> Option<&'n [Node]> {
        self.required(key).and_then(|entry| self.reader.list(&entry.value, &name(key)))
    }

    /// The items of a list; no list is an empty one.
    pub fn optional_list(&mut self, key: &'static str) -> &'n [Node] {
        self.optional(key).and_then(|entry| self.reader.list(&entry.value, &name(key))).unwrap_or_default()
    }

    /// The items of a list, each one line of text that is not empty.
    pub fn optional_strings(&mut self, key: &'static str) -> Vec<String> {
        let what = format!("each item of `{key}`");
        self.optional_list(key).iter().filter_map(|node| self.reader.string(node, &what)).collect()
    }

    /// Notes every key that was not asked for.
    pub fn finish(self) {
        for entry in self.entries {
            if self.asked.contains(&entry.key.as_str()) || self.reader.is_full() {
                continue;
            }
            let finding =
                entry.at.error("unknown_key", format!("{} has no key `{}`", self.what, shown(&entry.key)));
            let hint = match closest(&entry.key, self.asked.iter().copied()) {
                Some(key) => format!("did you mean `{key}`?"),
                None => format!("it may have: {}", self.asked.join(", ")),
            };
            self.reader.note(finding.with_hint(hint));
        }
    }
}

/// How messages name a key.
fn name(key: &str) -> String {
    format!("`{key}`")
}

/// A key from a file, safe to print.
fn shown(key: &str) -> String {
    key.escape_debug().take(80).collect()
}
