//! Builds the [`Node`] tree from the events of the YAML library, within limits.
//!
//! The library's typed interface stops at the first fault and places missing fields on the wrong line
//! (measured); its events carry exact positions for everything.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput, Tag};

use super::file::{MAX_BYTES, too_large};
use super::{Entry, Node, Position, Value, scalar, syntax};
use crate::report::Finding;

/// Maps and lists inside each other, at most.
const MAX_DEPTH: usize = 64;
/// Values in a document at most, each alias counting as all that it stands for: an alias bomb ends here.
const MAX_NODES: usize = 50_000;
/// Bytes of text that aliases stand for, at most: few values can be long ones.
const MAX_COPIED: usize = 4 * MAX_BYTES;

/// Parses a text that holds exactly one YAML document; see [`super::Reader::document`].
///
/// Without a tree there is at least one finding; there may also be findings beside a tree.
pub(super) fn document(text: &str) -> (Option<Node>, Vec<Finding>) {
    if text.len() > MAX_BYTES {
        return (None, vec![too_large()]);
    }
    // Twice our own limit, so that ours, which counts both kinds together, is met first.
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = 2 * MAX_DEPTH;
    options.block_nesting_limit = 2 * MAX_DEPTH;
    let mut composer = Composer {
        text,
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        nodes: 0,
        copied: 0,
        findings: Vec::new(),
    };
    match composer.root() {
        Ok(root) => (Some(root), composer.findings),
        Err(finding) => {
            composer.findings.push(*finding);
            (None, composer.findings)
        }
    }
}

/// Ends the parse: behind it nothing could be trusted, or it would cost too much.
type Stop = Box<Finding>;

struct Composer<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    copied: usize,
    findings: Vec<Finding>,
}

impl<'t> Composer<'t> {
    /// The one document. An empty text has none, which counts as nothing at all.
    fn root(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                Event::DocumentStart(..) => {
                    return Err(Box::new(
                        position(span)
                            .error("several_documents", "a second YAML document starts here")
                            .with_hint("remove the line `---` and what belongs to the other document"),
                    ));
                }
                _ => return Ok(root.unwrap_or(Node { value: Value::Null, at: Position::START })),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(Box::new(syntax::finding(self.text, &error))),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// One value.
    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Stop> {
        let at = position(span);
        self.count(1, at)?;
        if depth > MAX_DEPTH {
            return Err(Box::new(too_deep(at)));
        }
        if let Event::Alias(id) = event {
            return self.alias(id, at, depth);
        }
        if let Some(tag) = event.tag()
            && !tag.is_yaml_core_schema()
            && tag.original() != "!"
        {
            let at = span.tag_start().map_or(at, marker);
            self.findings.push(
                at.error("tag_not_supported", format!("the tag `{}` means nothing here", tag.original()))
                    .with_hint("remove it, or put the value in quotes"),
            );
        }
        let anchor = event.anchor_id();
        let node = match event {
            Event::Scalar(text, style, _, tag) => {
                Node { value: scalar_value(&text, style, tag.as_deref()), at }
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if depth >= MAX_DEPTH => {
                return Err(Box::new(too_deep(at)));
            }
            Event::SequenceStart(..) => Node { value: Value::List(self.list(depth)?), at },
            Event::MappingStart(..) => Node { value: Value::Map(self.map(depth)?), at },
            // The parser sends nothing else where a value is due.
            _ => return Err(Box::new(at.error("syntax", "a value is missing here"))),
        };
        if let Some(id) = anchor {
            // The copy costs as much as its uses do: anchors inside each other would multiply it.
            let size = measure(&node);
            self.count(size.nodes, at)?;
            self.copy(size.bytes, at)?;
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                return Ok(items);
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Stop> {
        let mut entries = Vec::new();
        let mut lines = HashMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                break;
            }
            let at = position(span);
            let key = match &event {
                Event::Scalar(text, ..) => Some(text.to_string()),
                _ => None,
            };
            // Also keys that are not used are composed: they may define anchors and count.
            self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Some(key) = key else {
                self.findings.push(at.error("key_not_text", "a key must be a text"));
                continue;
            };
            if key == "<<" {
                merged.push((at, value));
            } else if let Some(line) = lines.get(&key) {
                self.findings.push(
                    at.error("duplicate_key", format!("`{key}` is given twice: the first is on line {line}"))
                        .with_hint("remove one of the two"),
                );
            } else {
                lines.insert(key.clone(), at.line);
                entries.push(Entry { key, at, value });
            }
        }
        // What the map says itself wins over what `<<` brings in.
        for (at, value) in merged {
            for other in self.merged(value, at) {
                if !lines.contains_key(&other.key) {
                    lines.insert(other.key.clone(), other.at.line);
                    entries.push(other);
                }
            }
        }
        Ok(entries)
    }

    /// The entries of a map, or of a list of maps, that `<<` names.
    fn merged(&mut self, value: Node, at: Position) -> Vec<Entry> {
        let maps = match value.value {
            Value::List(items) => items,
            _ => vec![value],
        };
        let mut entries = Vec::new();
        for node in maps {
            match node.value {
                Value::Map(others) => entries.extend(others),
                _ => self.findings.push(at.error("wrong_type", "`<<` merges maps only")),
            }
        }
        entries
    }

    fn alias(&mut self, id: usize, at: Position, depth: usize) -> Result<Node, Stop> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(Box::new(recursive(at)));
        };
        let size = measure(node);
        if depth + size.height > MAX_DEPTH {
            return Err(Box::new(too_deep(at)));
        }
        self.count(size.nodes, at)?;
        self.copy(size.bytes, at)?;
        self.anchors.get(&id).cloned().ok_or_else(|| Box::new(recursive(at)))
    }

    fn count(&mut self, nodes: usize, at: Position) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(Box::new(
            at.error("too_many_values", format!("the document has more than {MAX_NODES} values"))
                .with_hint("aliases count as all that they stand for"),
        ))
    }

    fn copy(&mut self, bytes: usize, at: Position) -> Result<(), Stop> {
        self.copied += bytes;
        if self.copied <= MAX_COPIED {
            return Ok(());
        }
        Err(Box::new(at.error("too_many_values", "the aliases stand for more than 4 MiB of text")))
    }
}

fn recursive(at: Position) -> Finding {
    at.error("recursive_alias", "this alias stands inside what it stands for")
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str") || tag.original() == "!");
    if style == ScalarStyle::Plain && !is_text { scalar::plain(text) } else { Value::Text(text.to_owned()) }
}

fn too_deep(at: Position) -> Finding {
    at.error("too_deep", format!("more than {MAX_DEPTH} maps and lists inside each other"))
}

/// What a tree costs.
#[derive(Default)]
struct Size {
    nodes: usize,
    /// Levels below it.
    height: usize,
    /// Of text.
    bytes: usize,
}

fn measure(node: &Node) -> Size {
    let mut size = Size { nodes: 1, ..Size::default() };
    let mut add = |child: &Node| {
        let child = measure(child);
        size.nodes += child.nodes;
        size.height = size.height.max(child.height + 1);
        size.bytes += child.bytes;
    };
    match &node.value {
        Value::List(items) => {
            for item in items {
                add(item);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                add(&entry.value);
            }
            size.bytes += entries.iter().map(|entry| entry.key.len()).sum::<usize>();
        }
        Value::Text(text) => size.bytes += text.len(),
        _ => {}
    }
    size
}

fn position(span: Span) -> Position {
    marker(span.start)
}

/// The library counts lines from 1 and columns from 0.
pub(super) fn marker(marker: serde_saphyr::granit_parser::Marker) -> Position {
    let bounded = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: bounded(marker.line()).max(1), column: bounded(marker.col()).saturating_add(1) }
}
