//! Patterns of file names, as `huggingface_hub` takes them: `*` stands for anything, also across `/`, `?` for one character, `[abc]`
//! and `[!a-c]` for one of some; a folder with `/` behind it stands for all that is in it.

use std::fmt;
use std::str::FromStr;

/// A pattern of paths in a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This character.
    One(char),
    /// Any character.
    Any,
    /// Any characters, or none.
    Many,
    /// One of these ranges, or none of them.
    Of(Vec<(char, char)>, bool),
}

impl Pattern {
    /// The longest pattern, in bytes.
    const MOST: usize = 1024;

    /// Whether the whole of a path in a model is as the pattern says.
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        let (mut at, mut from) = (0, 0);
        // Where the last `*` was, and how much it stands for by now: an earlier one never needs more.
        let mut back: Option<(usize, usize)> = None;
        while from < path.len() {
            match self.parts.get(at) {
                Some(Part::Many) => {
                    back = Some((at, from));
                    at += 1;
                }
                Some(part) if part.is(path[from]) => (at, from) = (at + 1, from + 1),
                _ => match back {
                    Some((star, stood)) => {
                        back = Some((star, stood + 1));
                        (at, from) = (star + 1, stood + 1);
                    }
                    None => return false,
                },
            }
        }
        self.parts[at..].iter().all(|part| *part == Part::Many)
    }
}

impl Part {
    fn is(&self, own: char) -> bool {
        match self {
            Self::One(one) => *one == own,
            Self::Any | Self::Many => true,
            Self::Of(ranges, is_not) => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&own)) != *is_not
            }
        }
    }
}

impl FromStr for Pattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text.trim().is_empty() {
            return Err("it is empty");
        }
        if text.len() > Self::MOST {
            return Err("it is longer than 1024 bytes");
        }
        if text.chars().any(char::is_control) {
            return Err("it holds a control character");
        }
        if text.starts_with('/') || text.split('/').any(|part| matches!(part, "." | "..")) {
            return Err("it is about paths below the model's folder, without `/` at first, `.` and `..`");
        }
        let whole = if text.ends_with('/') { format!("{text}*") } else { text.to_owned() };
        let characters: Vec<char> = whole.chars().collect();
        let (mut parts, mut at) = (Vec::new(), 0);
        while let Some(one) = characters.get(at) {
            at += 1;
            match one {
                '*' if parts.last() == Some(&Part::Many) => {}
                '*' => parts.push(Part::Many),
                '?' => parts.push(Part::Any),
                '[' => match of(&characters[at..]) {
                    Some((part, length)) => {
                        parts.push(part);
                        at += length;
                    }
                    None => parts.push(Part::One('[')),
                },
                one => parts.push(Part::One(*one)),
            }
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

/// What stands behind a `[`, with its length; nothing where no `]` ends it, and it is a bracket.
fn of(text: &[char]) -> Option<(Part, usize)> {
    let is_not = text.first() == Some(&'!');
    let begin = usize::from(is_not);
    // One that comes first is one of the characters.
    let end = text.iter().skip(begin + 1).position(|one| *one == ']')? + begin + 1;
    let (mut ranges, mut at) = (Vec::new(), begin);
    while at < end {
        let from = text[at];
        if at + 2 < end && text[at + 1] == '-' {
            ranges.push((from, text[at + 2]));
            at += 3;
        } else {
            ranges.push((from, from));
            at += 1;
        }
    }
    Some((Part::Of(ranges, is_not), end + 1))
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is(pattern: &str, path: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(path)
    }

    #[test]
    fn paths_are_matched_as_a_whole_and_across_folders() {
        for (pattern, path) in [
            ("*.json", "a.json"),
            ("*.json", "sub/a.json"),
            ("a?c", "abc"),
            ("*", ""),
            ("*-0000[1-3]-of-*.safetensors", "model-00002-of-00009.safetensors"),
            ("[!.]*", "a"),
            ("onnx/", "onnx/deep/model.onnx"),
            ("*a*b*", "xaxxbx"),
            ("[]]", "]"),
            ("a[b", "a[b"),
        ] {
            assert!(is(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("*.json", "a.json.bak"),
            ("a?c", "ac"),
            ("*-0000[1-3]-of-*", "model-00004-of-00009"),
            ("[!.]*", ".a"),
            ("onnx/", "onnx"),
            ("A", "a"),
        ] {
            assert!(!is(pattern, path), "{pattern} {path}");
        }
        for text in ["", " ", "/a", "../a", "a/./b", "a\nb", &"a".repeat(1025)] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }

    /// What Python 3.11 says of the same pairs (`fnmatch.fnmatchcase`), with `*` added to a `/` at the end.
    #[test]
    fn patterns_are_read_as_python_reads_them() {
        for (pattern, path, fits) in [
            ("*.json", "config.json", true),
            ("*.json", "onnx/config.json", true),
            ("*.JSON", "config.json", false),
            ("onnx/", "onnx/model.onnx", true),
            ("onnx/", "onnx", false),
            ("model-0000?-of-*", "model-00001-of-00002.safetensors", true),
            ("?", "", false),
            ("*", "", true),
            ("[ab]*", "b/c", true),
            ("[!ab]*", "b/c", false),
            ("[!ab]*", "c", true),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[", "[", true),
            ("[!", "[!", true),
            ("[!]", "[!]", true),
            ("[]", "[]", true),
            ("[a-c]", "b", true),
            ("[c-a]", "b", false),
            ("[!c-a]", "b", true),
            ("[a-]", "-", true),
            ("[--0]", ".", true),
            ("[a-c-e]", "e", true),
            ("[a-c-e]", "d", false),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("**", "a/b", true),
            ("*ä?", "xäö", true),
        ] {
            assert_eq!(is(pattern, path), fits, "{pattern:?} {path:?}");
        }
    }

    #[test]
    fn many_stars_are_cheap() {
        assert!(!is(&"*a".repeat(200), &"a".repeat(199)));
        assert!(is(&"*a".repeat(200), &"a".repeat(2000)));
    }

    proptest! {
        #[test]
        fn no_text_takes_it_long(pattern in "[a*?\\[\\]!-]{1,40}", path in "[a-c/\\]]{0,60}") {
            if let Ok(pattern) = pattern.parse::<Pattern>() {
                pattern.matches(&path);
            }
        }
    }
}
