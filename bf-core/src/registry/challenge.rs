//! `WWW-Authenticate`: how a registry wants to be asked (RFC 9110, section 11.6.1).

use std::collections::BTreeMap;

/// One way that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// `basic` or `bearer`, in lower case.
    pub(super) scheme: String,
    /// Its parameters, by their names in lower case.
    pub(super) parameters: BTreeMap<String, String>,
}

/// Bytes of a header that are looked at.
const MAX_HEADER: usize = 8 * 1024;

/// Reads one header, which may offer several ways.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut rest = header.get(..MAX_HEADER.min(header.len())).unwrap_or_default().trim_start();
    let mut found: Vec<Challenge> = Vec::new();
    while !rest.is_empty() {
        let (word, after) = token(rest);
        if word.is_empty() {
            // Not what the standard says: go on behind it.
            let mut characters = rest.chars();
            characters.next();
            rest = characters.as_str().trim_start();
            continue;
        }
        let after = after.trim_start();
        if let Some(value) = after.strip_prefix('=') {
            let (value, after) = value_of(value.trim_start());
            if let Some(challenge) = found.last_mut() {
                challenge.parameters.insert(word.to_ascii_lowercase(), value);
            }
            rest = after;
        } else {
            found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: BTreeMap::new() });
            rest = after;
        }
        rest = rest.trim_start_matches([',', ' ', '\t']);
    }
    found
}

fn token(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)))
        .unwrap_or(text.len());
    text.split_at(end)
}

fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    (value, characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_their_parameters_are_told_apart() {
        let found = parse(
            r#"Bearer realm="https://auth.example/token",service="registry, \"one\"",scope="repository:a/b:pull", Basic realm=x"#,
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].scheme, "bearer");
        assert_eq!(found[0].parameters["service"], "registry, \"one\"");
        assert_eq!((found[1].scheme.as_str(), found[1].parameters["realm"].as_str()), ("basic", "x"));
    }

    #[test]
    fn nonsense_ends() {
        for text in ["", "=,=\"", "\u{e9}\u{e9}", "Bearer realm=\"open", "Basic", ",,,", "a=b"] {
            assert!(parse(text).len() <= 1, "{text}");
        }
    }
}
