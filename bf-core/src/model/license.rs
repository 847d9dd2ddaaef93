//! The licence of a model that has no card: what its licence's text calls itself, in the Hub's words.

use std::io::Read;

use super::snapshot::Snapshot;

/// How much of a text is read, in bytes: all say what they are at the begin.
const MAX_READ: u64 = 4096;

const NAMES: [&str; 4] = ["LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE"];

/// (words of the text's begin, in this order, in capitals; the Hub's name).
const KNOWN: [(&[&str], &str); 13] = [
    (&["APACHE LICENSE", "VERSION 2.0"], "apache-2.0"),
    (&["MIT LICENSE"], "mit"),
    (&["LLAMA 2 COMMUNITY LICENSE"], "llama2"),
    (&["META LLAMA 3 COMMUNITY LICENSE"], "llama3"),
    (&["LLAMA 3.1 COMMUNITY LICENSE"], "llama3.1"),
    (&["LLAMA 3.2 COMMUNITY LICENSE"], "llama3.2"),
    (&["LLAMA 3.3 COMMUNITY LICENSE"], "llama3.3"),
    (&["LLAMA 4 COMMUNITY LICENSE"], "llama4"),
    (&["GEMMA TERMS OF USE"], "gemma"),
    (&["GNU AFFERO GENERAL PUBLIC LICENSE", "VERSION 3"], "agpl-3.0"),
    (&["GNU GENERAL PUBLIC LICENSE", "VERSION 3"], "gpl-3.0"),
    (&["CC0 1.0 UNIVERSAL"], "cc0-1.0"),
    (&["ATTRIBUTION-NONCOMMERCIAL 4.0 INTERNATIONAL"], "cc-by-nc-4.0"),
];

/// The licence whose text lies in `snapshot`, if it is one that we know.
pub(super) fn of(snapshot: &Snapshot) -> Option<String> {
    let file = NAMES.iter().find_map(|name| snapshot.file(name))?;
    let mut bytes = Vec::new();
    let opened = crate::bounded::open(&file.file, crate::bounded::Links::Follow).ok()?;
    opened.take(MAX_READ).read_to_end(&mut bytes).ok()?;
    name(&String::from_utf8_lossy(&bytes)).map(str::to_owned)
}

fn name(text: &str) -> Option<&'static str> {
    /// Titles are at the top: other licences are named further down, for parts of the work.
    const TITLE: usize = 300;
    let words: Vec<&str> = text.split_whitespace().collect();
    let begin: String = words.join(" ").to_uppercase().chars().take(TITLE).collect();
    let is = |parts: &[&str]| {
        let mut rest = begin.as_str();
        parts.iter().all(|part| match rest.split_once(part) {
            Some((_, behind)) => {
                rest = behind;
                true
            }
            None => false,
        })
    };
    KNOWN.iter().find(|(parts, _)| is(parts)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_texts_are_told_and_others_are_not() {
        for (text, said) in [
            ("\n\n        Apache License\n      Version 2.0, January 2004\n", Some("apache-2.0")),
            ("MIT License\n\nCopyright (c) DeepSeek", Some("mit")),
            ("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version Release Date", Some("llama3.1")),
            ("GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", Some("gpl-3.0")),
            ("Our own terms", None),
            ("", None),
        ] {
            assert_eq!(name(text), said, "{text:?}");
        }
        let late = format!("Our own terms. {} MIT License", "x".repeat(400));
        assert_eq!(name(&late), None);
    }
}
