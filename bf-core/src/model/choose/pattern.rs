//! Patterns of paths as Python's `fnmatch` reads them, and `huggingface_hub` with it.

/// Whether `path` matches `pattern`: `*` is any text, also with a `/`; `?` one character; `[a-z]` and `[!a-z]` one of a set, or none of
/// it; a `/` at the end means all that is below. Upper and lower case differ. A `[` without its `]` stands for itself.
pub fn matches(pattern: &str, path: &str) -> bool {
    let mut pattern: Vec<char> = pattern.chars().collect();
    if pattern.last() == Some(&'/') {
        pattern.push('*');
    }
    let path: Vec<char> = path.chars().collect();
    let (mut pattern, mut path) = (pattern.as_slice(), path.as_slice());
    // Where to go on when what follows the last `*` does not fit: one character later. So time is at most length times length.
    let mut last_star: Option<(&[char], &[char])> = None;
    loop {
        if let Some(('*', rest)) = pattern.split_first() {
            pattern = rest;
            last_star = Some((pattern, path));
            continue;
        }
        let step = match (first(pattern, path.first().copied()), path.split_first()) {
            (None, None) => return true,
            (Some((true, rest)), Some((_, behind))) => Some((rest, behind)),
            _ => None,
        };
        (pattern, path) = match (step, last_star) {
            (Some(step), _) => step,
            (None, Some((after, from))) => {
                let Some((_, from)) = from.split_first() else { return false };
                last_star = Some((after, from));
                (after, from)
            }
            (None, None) => return false,
        };
    }
}

/// Whether the pattern's first element, which is no `*`, fits `c`, and the rest of the pattern; nothing at its end.
fn first(pattern: &[char], c: Option<char>) -> Option<(bool, &[char])> {
    let (head, rest) = pattern.split_first()?;
    match (head, set(rest)) {
        ('?', _) => Some((c.is_some(), rest)),
        ('[', Some((inside, rest))) => Some((c.is_some_and(|c| in_set(inside, c)), rest)),
        _ => Some((c == Some(*head), rest)),
    }
}

/// What is between `[`, which is gone already, and `]`, and what is behind it. A `]` that comes first is one of the set.
fn set(pattern: &[char]) -> Option<(&[char], &[char])> {
    let negated = usize::from(pattern.first() == Some(&'!'));
    let end = negated + 1 + pattern.get(negated + 1..)?.iter().position(|c| *c == ']')?;
    Some((pattern.get(..end)?, pattern.get(end + 1..)?))
}

fn in_set(set: &[char], c: char) -> bool {
    let (negated, mut rest) = match set.split_first() {
        Some(('!', rest)) => (true, rest),
        _ => (false, set),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => return found != negated,
            [low, '-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&c);
                rest
            }
            [one, rest @ ..] => {
                found |= *one == c;
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            ("", "", true),
            ("", "a", false),
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
            assert_eq!(matches(pattern, path), fits, "{pattern:?} {path:?}");
        }
    }

    #[test]
    fn many_stars_are_cheap() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
        assert!(matches(&"*a".repeat(200), &"a".repeat(2000)));
    }

    proptest! {
        #[test]
        fn a_path_matches_itself_and_every_star(path in "[a-z./-]{0,20}", at in 0_usize..20) {
            let at = at.min(path.len());
            prop_assert!(path.ends_with('/') || matches(&path, &path));
            let pattern = format!("{}*", &path[..at]);
            prop_assert!(matches(&pattern, &path));
        }

        #[test]
        fn no_pattern_makes_it_panic(pattern in "[*?\\[\\]!a-c/-]{0,12}", path in "[a-c/\\]-]{0,8}") {
            let _ = matches(&pattern, &path);
        }
    }
}
