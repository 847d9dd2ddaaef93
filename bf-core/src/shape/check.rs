//! Checks a tree by its description, and notes every fault.

use super::{By, Format, Key, Map, Shape};
use crate::spec::parse::{Entry, Node, Position, Reader, Value, closest};

/// Notes everything in `node` that is not as `map` describes it.
pub fn check(reader: &Reader, node: &Node, map: &Map) {
    Walk { reader }.map(node, node.at, map, map.called, "");
}

struct Walk<'r> {
    reader: &'r Reader,
}

impl Walk<'_> {
    /// A map. `at` is where a key that is missing is reported, `path` leads to the map.
    fn map(&self, node: &Node, at: Position, map: &Map, what: &str, path: &str) {
        let Value::Map(entries) = &node.value else {
            self.wrong(node, what, "a map", map_example(map));
            return;
        };
        for key in map.keys.iter().filter(|key| key.is_required) {
            if !entries.iter().any(|entry| entry.key == key.name) {
                self.reader.note(at.error("missing_key", format!("{what} has no `{}`", key.name)));
            }
        }
        for entry in entries {
            if self.reader.is_full() {
                return;
            }
            match map.keys.iter().find(|key| key.name == entry.key) {
                Some(key) => self.entry(entry, key, path),
                None if map.is_open => {}
                None => self.unknown(entry, map, what),
            }
        }
    }

    fn unknown(&self, entry: &Entry, map: &Map, what: &str) {
        let shown: String = entry.key.escape_debug().take(80).collect();
        let finding = entry.at.error("unknown_key", format!("{what} has no key `{shown}`"));
        let known = map.keys.iter().map(|key| key.name);
        self.reader.note(match closest(&entry.key, known.clone()) {
            Some(key) => finding.with_hint(format!("did you mean `{key}`?")),
            None => finding.with_hint(format!("it may have: {}", known.collect::<Vec<_>>().join(", "))),
        });
    }

    fn entry(&self, entry: &Entry, key: &Key, path: &str) {
        if !key.is_required && is_absent(&entry.value, &key.shape) {
            return;
        }
        let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        match key.by {
            By::Nobody => self.reader.note(
                entry
                    .at
                    .warning("not_obeyed_yet", format!("nothing obeys `{path}` in this version"))
                    .with_hint("it is kept in the cache's copy of the file, and has no effect"),
            ),
            By::Later => self.reader.note(
                entry
                    .at
                    .warning("not_provided_yet", format!("this version cannot provide `{path}` yet"))
                    .with_hint(
                        "`setup` skips it, and keeps it in the cache's copy of the file for a newer bf-admin",
                    ),
            ),
            By::Refused => self.reader.note(
                entry
                    .at
                    .error("not_supported", format!("this version cannot provide `{path}` yet"))
                    .with_hint("remove it, or use a newer bf-admin"),
            ),
            By::Admin | By::User => {}
        }
        let what = format!("`{}`", key.name);
        self.value(&entry.value, entry.at, &key.shape, &what, &path);
    }

    fn value(&self, node: &Node, at: Position, shape: &Shape, what: &str, path: &str) {
        let reader = self.reader;
        match shape {
            Shape::Text => drop(reader.string(node, what)),
            Shape::Lines => drop(reader.text(node, what)),
            Shape::Bool => _ = reader.boolean(node, what),
            Shape::Whole(least, most) => _ = reader.whole(node, what, *least..=*most),
            Shape::Bytes => match node.value {
                Value::Int(0..) => {}
                _ => reader.note(node.at.error("wrong_type", format!("{what} must be a number of bytes"))),
            },
            Shape::Positive => _ = reader.positive(node, what),
            Shape::Choice(of) => _ = reader.choice(node, what, of),
            Shape::Format(format) => self.text(node, format, what),
            Shape::OrNull(_) if node.value == Value::Null => {}
            Shape::OrNull(shape) => self.value(node, at, shape, what, path),
            Shape::Map(map) => self.map(node, at, map, what, path),
            Shape::List(of) => {
                let called = match of {
                    Shape::Map(map) => map.called.to_owned(),
                    _ => format!("each item of {what}"),
                };
                let Value::List(items) = &node.value else {
                    self.wrong(node, what, "a list", example(shape));
                    return;
                };
                for item in items {
                    if reader.is_full() {
                        return;
                    }
                    self.value(item, item.at, of, &called, &format!("{path}[]"));
                }
            }
            Shape::Named(name, of) => self.named(node, name, of, what, path),
        }
    }

    /// Something else than the map or list that it must be.
    fn wrong(&self, node: &Node, what: &str, wanted: &str, example: Option<String>) {
        let message = format!("{what} must be {wanted}, not {}", node.value.describe());
        let finding = node.at.error("wrong_type", message);
        self.reader.note(match example {
            Some(example) if what.starts_with('`') => {
                finding.with_hint(format!("write it as `{}: {example}`", what.trim_matches('`')))
            }
            Some(example) => finding.with_hint(format!("write it as `{example}`")),
            None => finding,
        });
    }

    fn named(&self, node: &Node, name: &Format, of: &Shape, what: &str, path: &str) {
        let Value::Map(entries) = &node.value else {
            self.wrong(node, what, "a map", named_example(name, of));
            return;
        };
        for entry in entries {
            if self.reader.is_full() {
                return;
            }
            let shown: String = entry.key.escape_debug().take(80).collect();
            if let Err(fault) = (name.check)(&format!("the name `{shown}`"), &entry.key) {
                self.reader.note(fault.at(entry.at));
            }
            let called = match of {
                Shape::Map(map) | Shape::OrNull(Shape::Map(map)) => map.called.to_owned(),
                _ => format!("`{shown}`"),
            };
            self.value(&entry.value, entry.at, of, &called, path);
        }
    }

    fn text(&self, node: &Node, format: &Format, what: &str) {
        let text = match &node.value {
            Value::Int(number) if format.is_number => Some(number.to_string()),
            Value::Int(_) | Value::Float(_) => {
                let examples = format.examples.join("`, `");
                let message = format!("{what} must be {}, not {}", format.is, node.value.describe());
                self.reader.note(
                    node.at.error("wrong_type", message).with_hint(format!("write it as `{examples}`")),
                );
                None
            }
            _ => self.reader.string(node, what),
        };
        if let Some(Err(fault)) = text.map(|text| (format.check)(what, &text)) {
            self.reader.note(fault.at(node.at));
        }
    }
}

/// A value of this shape as it is written on one line, with what must be there.
fn example(shape: &Shape) -> Option<String> {
    Some(match shape {
        Shape::Text | Shape::Lines | Shape::Bytes | Shape::Positive => return None,
        Shape::Bool => "true".into(),
        Shape::Whole(least, _) => least.to_string(),
        Shape::Choice(of) => (*of.first()?).to_owned(),
        Shape::Format(format) => (*format.examples.first()?).to_owned(),
        Shape::List(of) => format!("[{}]", example(of)?),
        Shape::OrNull(_) => String::new(),
        Shape::Named(name, of) => return named_example(name, of),
        Shape::Map(map) => return map_example(map),
    })
}

fn named_example(name: &Format, of: &Shape) -> Option<String> {
    Some(format!("{{{}: {}}}", name.examples.first()?, example(of).unwrap_or_default()))
}

fn map_example(map: &Map) -> Option<String> {
    let shown = |key: &Key| Some(format!("{}: {}", key.name, example(&key.shape)?));
    let required: Vec<String> = map.keys.iter().filter(|key| key.is_required).filter_map(shown).collect();
    let shown = if required.is_empty() { map.keys.iter().find_map(shown)? } else { required.join(", ") };
    Some(format!("{{{shown}}}"))
}

/// Whether an optional value counts as not given: nothing, or an empty text.
fn is_absent(node: &Node, shape: &Shape) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Text(text) => {
            matches!(shape, Shape::Text | Shape::Format(_) | Shape::Choice(_)) && text.trim().is_empty()
        }
        _ => false,
    }
}
