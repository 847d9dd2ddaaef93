//! What a model card's front matter says: the task and the licence at the head of `README.md`.
//!
//! Not a YAML parser: two keys at the begin of a line, with a plain or quoted value, or the first item of a list.
//! Format: <https://huggingface.co/docs/hub/model-cards>.

use std::io::Read;
use std::path::Path;

/// How much of a card is read, in bytes; long lists of languages and results fit.
const MAX_CARD: u64 = 256_000;

/// The longest value that is kept, in bytes.
const MAX_VALUE: usize = 128;

/// The facts that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// `pipeline_tag`, as the Hub names tasks: `text-generation`.
    pub task: Option<String>,
    /// `license`; `license_name` when that is `other`.
    pub license: Option<String>,
}

/// Reads the card at `path`. One that cannot be read, or has no front matter, says nothing.
pub fn read(path: &Path) -> Card {
    let mut bytes = Vec::new();
    match crate::bounded::open(path, crate::bounded::Links::Follow)
        .and_then(|file| file.take(MAX_CARD).read_to_end(&mut bytes))
    {
        Ok(_) => parse(&String::from_utf8_lossy(&bytes)),
        Err(_) => Card::default(),
    }
}

fn parse(text: &str) -> Card {
    let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim_end);
    if lines.next() != Some("---") {
        return Card::default();
    }
    let lines: Vec<&str> = lines.take_while(|line| *line != "---").collect();
    let value = |key: &str| {
        let at =
            lines.iter().position(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))?;
        let here = plain(&lines[at][key.len() + 1..]);
        here.or_else(|| plain(lines.get(at + 1)?.trim_start().strip_prefix("- ")?))
    };
    let license = value("license").filter(|license| license != "other").or_else(|| value("license_name"));
    Card { task: value("pipeline_tag"), license: license.or_else(|| value("license")) }
}

/// A value without quotes and comment; nothing when it is empty, long, or would upset a terminal.
fn plain(text: &str) -> Option<String> {
    let text = text.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'', '[', ']']).trim();
    let usable = !text.is_empty() && text.len() <= MAX_VALUE && !text.chars().any(char::is_control);
    usable.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(text: &str) -> (Option<String>, Option<String>) {
        let card = parse(text);
        (card.task, card.license)
    }

    #[test]
    fn task_and_licence_are_read() {
        let some = |text: &str| Some(text.to_owned());
        let text = "---\r\nlanguage:\r\n- en\r\nlicense: apache-2.0  # as is\r\npipeline_tag: 'text-generation'\r\n---\r\n# Title";
        assert_eq!(facts(text), (some("text-generation"), some("apache-2.0")));
        assert_eq!(facts("---\nlicense: other\nlicense_name: llama3\n---").1, some("llama3"));
        assert_eq!(facts("---\nlicense: other\n---").1, some("other"));
        assert_eq!(facts("---\nlicense:\n  - mit\n  - bsd\n---").1, some("mit"));
        assert_eq!(facts("---\nlicense: [mit]\n---").1, some("mit"));
    }

    #[test]
    fn everything_else_says_nothing() {
        let long = format!("---\nlicense: {}\n---", "x".repeat(200));
        for text in [
            "",
            "---",
            "license: mit",
            "---\n---\nlicense: mit",
            "---\n  license: mit",
            "---\nlicense: \u{1b}[2J",
            &long,
        ] {
            assert_eq!(facts(text), (None, None), "{text:?}");
        }
        assert_eq!(read(Path::new("/nonexistent/README.md")), Card::default());
    }
}
