//! Shows findings with the lines they are about.

use std::io::{self, Write};

use unicode_width::UnicodeWidthChar;

use super::parse::lines;
use crate::report::{Finding, Severity, is_unshown, one_line};

/// How much of a line is shown, in characters.
const MAX_WIDTH: usize = 120;

/// Writes findings for a person: place, message, the line of `text` with the fault underlined, hint.
///
/// ```text
/// resource_specs.yaml:11:20: error: `gpu_count` must be a whole number, not the text "two"
///    11 |         gpu_count: two
///       |                    ^^^
/// hint: ...
/// ```
///
/// Pass an empty `text` when the reader may not see the file: the lines are then left out.
///
/// # Errors
/// Whatever `out` fails with.
pub fn write(out: &mut dyn Write, findings: &[Finding], text: &str) -> io::Result<()> {
    let mut lines: Vec<&str> = lines(text).collect();
    if lines.last() == Some(&"") {
        lines.pop(); // what is behind the last break is no line to show
    }
    for finding in findings {
        write_one(out, finding, &lines)?;
    }
    Ok(())
}

fn write_one(out: &mut dyn Write, finding: &Finding, lines: &[&str]) -> io::Result<()> {
    if let Some(file) = &finding.file {
        write!(out, "{}:", one_line(&file.display().to_string()))?;
    }
    if let Some(line) = finding.line {
        write!(out, "{line}:{}:", finding.column.unwrap_or(1))?;
    }
    if finding.file.is_some() || finding.line.is_some() {
        write!(out, " ")?;
    }
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    writeln!(out, "{severity}: {}", finding.message)?;
    let index = |n: u32| usize::try_from(n).ok()?.checked_sub(1);
    if let (Some(number), Some(column)) = (finding.line, finding.column.and_then(index))
        && let Some(line) = index(number).and_then(|index| lines.get(index))
    {
        let (shown, blanks, carets) = excerpt(line, column);
        writeln!(out, "{number:>5} | {shown}")?;
        writeln!(out, "      | {:blanks$}{}", "", "^".repeat(carets))?;
    }
    match &finding.hint {
        Some(hint) => writeln!(out, "hint: {hint}"),
        None => Ok(()),
    }
}

/// What to show of a line, how many blanks stand before the carets, and how many carets there are.
fn excerpt(line: &str, column: usize) -> (String, usize, usize) {
    // A tab counts as one column, and neither escape sequences nor marks of direction must reach the terminal.
    let chars: Vec<char> = line.trim_end().chars().map(|c| if is_unshown(c) { ' ' } else { c }).collect();
    let column = column.min(chars.len());
    let start = if column < MAX_WIDTH * 3 / 4 { 0 } else { column - MAX_WIDTH / 2 };
    let end = chars.len().min(start + MAX_WIDTH);
    let carets = token(&chars[column..]).min(end - column).max(1);
    // Some characters take two columns of a terminal, and some none.
    let width = |chars: &[char]| chars.iter().map(|c| c.width().unwrap_or(0)).sum::<usize>();
    let underlined = width(&chars[column..(column + carets).min(end)]).max(1);
    (chars[start..end].iter().collect(), width(&chars[start..column]), underlined)
}

/// How many characters the value has that starts here.
fn token(chars: &[char]) -> usize {
    if let [quote @ ('"' | '\''), rest @ ..] = chars {
        return rest.iter().position(|c| c == quote).map_or(chars.len(), |index| index + 2);
    }
    let ends = |index: usize| match chars[index] {
        ' ' | ',' | ']' | '}' | '#' => true,
        ':' => chars.get(index + 1).is_none_or(|next| *next == ' '),
        _ => false,
    };
    (0..chars.len()).find(|index| ends(*index)).unwrap_or(chars.len())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn shown(finding: Finding, text: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, &[finding], text).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_value_is_underlined() {
        let mut finding =
            Finding::error("wrong_type", "`gpu_count` must be a number").at(2, 14).with_hint("write 2");
        finding.file = Some(PathBuf::from("a.yaml"));
        assert_eq!(
            shown(finding, "tier:\n  gpu_count: \"two\" # GPUs\n"),
            "a.yaml:2:14: error: `gpu_count` must be a number\n    2 |   gpu_count: \"two\" # GPUs\n      |              ^^^^^\nhint: write 2\n"
        );
    }

    #[test]
    fn a_place_outside_of_the_text_and_control_characters_do_no_harm() {
        assert_eq!(shown(Finding::warning("a", "b").at(9, 1), "x"), "9:1: warning: b\n");
        assert_eq!(shown(Finding::error("a", "b"), "x"), "error: b\n");
        assert_eq!(
            shown(Finding::error("a", "b").at(1, 4), "\t\x1bx"),
            "1:4: error: b\n    1 |   x\n      |    ^\n"
        );
        assert_eq!(
            shown(Finding::error("a", "b").at(2, 5), "x\r\u{202e}\u{6a21}: \u{578b}\u{e9}"),
            "2:5: error: b\n    2 |  \u{6a21}: \u{578b}\u{e9}\n      |      ^^^\n"
        );
        let long = "x".repeat(1000);
        assert!(shown(Finding::error("a", "b").at(1, 900), &long).lines().all(|line| line.len() < 140));
    }
}
