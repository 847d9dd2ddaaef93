//! Takes a tree apart into typed values and collects what is wrong.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use super::{Entry, MapReader, Node, Value, closest, compose};
use crate::report::{Finding, Severity, is_unshown};

/// More errors, or more warnings, than this help nobody, and a file that is not meant for us would have thousands.
const MAX_FINDINGS: usize = 100;
/// Characters of a message or hint, at most.
const MAX_SHOWN: usize = 500;

/// Collects the findings about one document. Readers of maps inside each other share it.
///
/// Every getter returns `None` when the value is not usable, and has then noted why. So convert first, check
/// afterwards: when [`Reader::into_findings`] has no error, every required value was there.
#[derive(Debug, Default)]
pub struct Reader {
    findings: RefCell<Vec<Finding>>,
}

impl Reader {
    /// A reader without findings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses a text that holds exactly one YAML document. Anchors, aliases and merge keys (`<<`) are resolved.
    ///
    /// Notes what is wrong with the document as such. There is no tree after a syntax error (the first one is noted,
    /// as what follows it cannot be trusted), a second document, or more than the limits: 1 MiB, 64 levels, 50 000
    /// values. There is one beside duplicate keys, of which the first counts, and unknown tags.
    pub fn document(&self, text: &str) -> Option<Node> {
        let (root, findings) = compose::document(text);
        for finding in findings {
            self.note(finding);
        }
        root
    }

    /// Notes a finding. Use [`Position::error`](super::Position::error) and its kin to make one.
    pub fn note(&self, mut finding: Finding) {
        let mut findings = self.findings.borrow_mut();
        // Counted apart, so that warnings never hide that there are errors.
        if count(&findings, finding.severity) < MAX_FINDINGS {
            // They quote the file, and escape sequences must not reach a terminal.
            finding.message = printable(&finding.message);
            finding.hint = finding.hint.as_deref().map(printable);
            findings.push(finding);
        }
    }

    /// Whether more errors would be dropped, so that looking for them is of no use.
    pub fn is_full(&self) -> bool {
        count(&self.findings.borrow(), Severity::Error) >= MAX_FINDINGS
    }

    /// Everything noted, in the order of the file.
    pub fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| (finding.line, finding.column));
        findings
    }

    /// The node as a map. `what` names it in messages: ``"`time`"``, `"the file"`, `"a tier"`.
    pub fn map<'r, 'n>(&'r self, node: &'n Node, what: &str) -> Option<MapReader<'r, 'n>> {
        match &node.value {
            Value::Map(entries) => Some(MapReader::new(self, entries, node.at, what)),
            _ => self.wrong(node, what, "a map"),
        }
    }

    /// The node as the map of an entry. Missing keys are then reported at the entry's key, as its first key may be
    /// many lines further down.
    pub fn map_of<'r, 'n>(&'r self, entry: &'n Entry, what: &str) -> Option<MapReader<'r, 'n>> {
        match &entry.value.value {
            Value::Map(entries) => Some(MapReader::new(self, entries, entry.at, what)),
            _ => self.wrong(&entry.value, what, "a map"),
        }
    }

    /// The node as a list.
    pub fn list<'n>(&self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            _ => self.wrong(node, what, "a list"),
        }
    }

    /// The node as one line of text that is not empty.
    pub fn string(&self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        if text.is_empty() {
            self.note(node.at.error("empty_value", format!("{what} must not be empty")));
            return None;
        }
        // Such characters would end up in job scripts and terminals.
        if text.chars().any(char::is_control) {
            self.note(
                node.at.error(
                    "control_character",
                    format!("{what} must be one line without control characters"),
                ),
            );
            return None;
        }
        Some(text)
    }

    /// The node as text of any number of lines, also none, without the blanks around it.
    pub fn text(&self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.trim().to_owned()),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                self.note(wrong_type(node, what, "text").with_hint("put it in quotes"));
                None
            }
            _ => self.wrong(node, what, "text"),
        }
    }

    /// The node as `true` or `false`.
    pub fn boolean(&self, node: &Node, what: &str) -> Option<bool> {
        if let Value::Bool(value) = &node.value {
            return Some(*value);
        }
        let finding = wrong_type(node, what, "`true` or `false`");
        self.note(finding.with_hint("write `true` or `false`, without quotes"));
        None
    }

    /// The node as a whole number within `range`.
    pub fn whole(&self, node: &Node, what: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let at_least = range.start();
        let given = node.value.describe();
        match &node.value {
            Value::Int(value) => match u32::try_from(*value) {
                Ok(value) if range.contains(&value) => Some(value),
                _ if *value < i64::from(*at_least) => {
                    self.out_of_range(node, format!("{what} must be {at_least} or more, not {given}"))
                }
                _ => self.out_of_range(node, format!("{what} must be {} or less, not {given}", range.end())),
            },
            Value::Float(_) => {
                self.note(node.at.error("not_whole", format!("{what} must be a whole number, not {given}")));
                None
            }
            _ => self.number_expected(node, what, "a whole number"),
        }
    }

    /// The node as a finite number above zero.
    pub fn positive(&self, node: &Node, what: &str) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)] // sizes of that magnitude do not exist
        let number = match &node.value {
            Value::Int(value) => *value as f64,
            Value::Float(value) => *value,
            _ => return self.number_expected(node, what, "a number"),
        };
        if number.is_finite() && number > 0.0 {
            return Some(number);
        }
        self.out_of_range(node, format!("{what} must be a number above 0, not {}", node.value.describe()))
    }

    /// The node as one of the words `of`, by its place in `of`.
    pub fn choice(&self, node: &Node, what: &str, of: &[&str]) -> Option<usize> {
        let word = self.string(node, what)?;
        let found = of.iter().position(|choice| *choice == word);
        if found.is_none() {
            let message = format!("{what} must be one of {}, not {}", of.join(", "), node.value.describe());
            let finding = node.at.error("unknown_value", message);
            self.note(match closest(&word, of.iter().copied()) {
                Some(choice) => finding.with_hint(format!("did you mean `{choice}`?")),
                None => finding,
            });
        }
        found
    }

    /// A text that looks like a number was probably not meant to be text.
    fn number_expected<T>(&self, node: &Node, what: &str, expected: &str) -> Option<T> {
        let finding = wrong_type(node, what, expected);
        self.note(match &node.value {
            Value::Text(text) if text.trim().parse::<f64>().is_ok() => finding.with_hint("remove the quotes"),
            Value::Text(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                finding.with_hint("write the number without a unit")
            }
            _ => finding,
        });
        None
    }

    fn out_of_range<T>(&self, node: &Node, message: String) -> Option<T> {
        self.note(node.at.error("out_of_range", message));
        None
    }

    fn wrong<T>(&self, node: &Node, what: &str, expected: &str) -> Option<T> {
        self.note(wrong_type(node, what, expected));
        None
    }
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

/// What is fit to be shown of a text from a file. A name in it may be as long as the file.
fn printable(text: &str) -> String {
    let safe = |c: char| if is_unshown(c) { char::REPLACEMENT_CHARACTER } else { c };
    let mut shown: String = text.chars().take(MAX_SHOWN).map(safe).collect();
    if shown.len() < text.len() && text.chars().nth(MAX_SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

fn wrong_type(node: &Node, what: &str, expected: &str) -> Finding {
    node.at.error("wrong_type", format!("{what} must be {expected}, not {}", node.value.describe()))
}
