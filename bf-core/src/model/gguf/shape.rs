//! The numbers of a header that say what the model's layers are like, under the architecture's name: `llama.block_count`.

use std::collections::BTreeMap;

/// The keys that are kept, without the architecture in front.
const KEPT: [&str; 9] = [
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.sliding_window",
    "block_count",
    "context_length",
    "embedding_length",
    "full_attention_interval",
];

/// The longest name of an architecture, in bytes.
const MAX_ARCHITECTURE: usize = 64;

/// The most keys that are kept while it is not known which architecture counts.
const MAX_KEYS: usize = 64;

/// Numbers by key; those that differ from layer to layer are lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape(BTreeMap<String, Vec<u64>>);

impl Shape {
    /// The numbers at `key`; none where there is no such key.
    pub fn get(&self, key: &str) -> &[u64] {
        self.0.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The number at `key`, where there is exactly one.
    pub fn one(&self, key: &str) -> Option<u64> {
        match self.get(key) {
            [number] => Some(*number),
            _ => None,
        }
    }

    /// Whether the numbers at `key`, with an architecture in front, are kept.
    pub(super) fn keeps(key: &str) -> bool {
        key.split_once('.').is_some_and(|(name, rest)| name.len() <= MAX_ARCHITECTURE && KEPT.contains(&rest))
    }

    pub(super) fn add(&mut self, key: String, numbers: Vec<u64>) {
        if self.0.len() < MAX_KEYS {
            self.0.insert(key, numbers);
        }
    }

    /// The numbers of one architecture, without its name in front.
    pub(super) fn of(self, architecture: &str) -> Self {
        let own = |(key, numbers): (String, Vec<u64>)| {
            let (name, rest) = key.split_once('.')?;
            (name == architecture).then(|| (rest.to_owned(), numbers))
        };
        Self(self.0.into_iter().filter_map(own).collect())
    }
}
