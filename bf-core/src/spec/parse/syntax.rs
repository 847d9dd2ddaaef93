//! Turns the YAML library's syntax errors into findings at the place where the fault is.
//!
//! The library reports where it noticed: for a quote that is never closed that may be many lines further down, for a
//! tab the line above. Looking at the text again finds the place to correct.

use serde_saphyr::granit_parser::{ErrorKind, ScanError};

use super::Position;
use super::compose::marker;
use super::file::lines;
use crate::report::Finding;

/// The finding for a syntax error in `text`.
pub(super) fn finding(text: &str, error: &ScanError) -> Finding {
    let at = marker(*error.marker());
    let kind = error.kind();
    if is_about_quotes(kind)
        && let Some(quote) = unclosed_quote(text, at)
    {
        return quote
            .error("unclosed_quote", "the quote that opens here is not closed on its line")
            .with_hint("close it on the same line");
    }
    if let Some(tab) = tab_in_indentation(text, at) {
        return tab
            .error("tab_indentation", "a tab is used for indentation, which YAML forbids")
            .with_hint("indent with blanks");
    }
    if *kind == ErrorKind::RecursionLimitExceeded {
        return at.error("too_deep", "too many maps and lists inside each other");
    }
    let finding = at.error("syntax", format!("not valid YAML: {}", kind.to_string().trim_end_matches('.')));
    match hint(kind) {
        Some(hint) => finding.with_hint(hint),
        None => finding,
    }
}

fn hint(kind: &ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::SimpleKeyExpected => {
            Some("keys of the same map start in the same column and end in a colon")
        }
        ErrorKind::MappingValueNotAllowed => {
            Some("a text with `: ` in it needs quotes; keys of the same map start in the same column")
        }
        ErrorKind::UnexpectedCharacter { .. } => Some("put the text in quotes"),
        ErrorKind::UnknownAnchor => {
            Some("define it above with `&name`; a text that starts with `*` needs quotes")
        }
        _ => None,
    }
}

fn is_about_quotes(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnclosedQuotedScalar
            | ErrorKind::InvalidQuotedScalarIndent
            | ErrorKind::DocumentIndicatorInQuotedScalar
            | ErrorKind::InvalidTrailingSingleQuotedScalar
            | ErrorKind::InvalidTrailingDoubleQuotedScalar
            | ErrorKind::InvalidSimpleKey
            | ErrorKind::SimpleKeyExpected
            | ErrorKind::UnexpectedEof
    )
}

/// The first quote up to the line of `before` that starts a text and has no partner on its line.
fn unclosed_quote(text: &str, before: Position) -> Option<Position> {
    lines(text)
        .zip(1..=before.line)
        .find_map(|(line, number)| open_quote(line).map(|column| Position { line: number, column }))
}

/// The column of a quote that starts a text on this line and is not closed on it.
fn open_quote(line: &str) -> Option<u32> {
    let mut open: Option<(char, u32)> = None;
    let mut previous = ' ';
    let mut starts_value = true;
    let mut escaped = false;
    for (c, column) in line.chars().zip(1..) {
        match open {
            Some((quote, _)) if c == quote && !escaped => open = None,
            // In a text in double quotes a backslash protects the next character, also another backslash.
            Some(('"', _)) => escaped = c == '\\' && !escaped,
            None if c == '#' && previous == ' ' => return None,
            None if matches!(c, '"' | '\'') && starts_value => open = Some((c, column)),
            Some(_) | None => {}
        }
        if open.is_none() && c != ' ' {
            starts_value = matches!(c, ':' | '-' | '[' | ',' | '{' | '?');
        }
        previous = c;
    }
    open.map(|(_, column)| column)
}

/// A tab in the blanks at the start of the line of the error, or of one next to it.
fn tab_in_indentation(text: &str, near: Position) -> Option<Position> {
    let first = near.line.saturating_sub(1).max(1);
    let lines =
        lines(text).zip(1..).filter(|(_, number)| (first..=near.line.saturating_add(1)).contains(number));
    lines.into_iter().find_map(|(line, number)| {
        let blank = |c: &char| matches!(c, ' ' | '\t');
        let column = line.chars().take_while(blank).position(|c| c == '\t')?;
        let column = u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1);
        Some(Position { line: number, column })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_quote_that_opens_a_text_counts() {
        assert_eq!(open_quote(r#"a: "open"#), Some(4));
        assert_eq!(open_quote(r#"- "a\" b"#), Some(3));
        assert_eq!(open_quote(r#"a: "closed" # "x"#), None);
        assert_eq!(open_quote("a: it's fine"), None);
        assert_eq!(open_quote("a: ['x', 'y]"), Some(10));
        assert_eq!(open_quote(r#""a": "b""#), None);
    }
}
