//! Takes what may be a secret out of what is written down.

const SECRET: [&str; 8] =
    ["token", "password", "passwd", "secret", "api-key", "api_key", "apikey", "signature"];

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|word| name.contains(word))
}

/// A command line without credentials in URLs, and without the values of options named after secrets.
pub(super) fn command(command: &[String]) -> Vec<String> {
    let is_secret = |option: &str| option.starts_with("--") && is_secret(option);
    let mut hide_next = false;
    command
        .iter()
        .map(|argument| {
            if std::mem::take(&mut hide_next) {
                return "***".into();
            }
            if let Some((option, _)) = argument.split_once('=').filter(|(option, _)| is_secret(option)) {
                return format!("{option}=***");
            }
            hide_next = is_secret(argument);
            text(argument)
        })
        .collect()
}

/// A text without credentials: what is before the `@` of an address, and the values of `token=` and its kin.
pub(super) fn text(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | '(' | ')' | ',');
    let mut kept = String::with_capacity(text.len());
    for word in text.split_inclusive(ends) {
        let bare = word.trim_end_matches(ends);
        kept.push_str(&parameters(&credentials(bare)));
        kept.push_str(&word[bare.len()..]);
    }
    kept
}

/// `https://user:password@host/path`, or the same without a scheme, without what is before the `@`.
fn credentials(word: &str) -> String {
    let (scheme, rest) = match word.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), word),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let Some((user, host)) = authority.rsplit_once('@') else { return word.to_owned() };
    // `name:tag@sha256:...` is an image.
    if scheme.is_empty() && (!user.contains(':') || host.starts_with("sha")) {
        return word.to_owned();
    }
    format!("{scheme}***@{}", &rest[user.len() + 1..])
}

/// `?token=...&x=1` without the value.
fn parameters(word: &str) -> String {
    let ends = |c: char| matches!(c, '?' | '&' | ';' | '#');
    word.split_inclusive(ends)
        .map(|part| match part.split_once('=') {
            Some((name, value)) if is_secret(name) => {
                let end = value.chars().next_back().filter(|c| ends(*c));
                format!("{name}=***{}", end.map(String::from).unwrap_or_default())
            }
            _ => part.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_reach_the_log() {
        let given =
            ["bf-admin", "--token", "hf_abc", "--password=x", "https://me:pw@host/a@b"].map(String::from);
        assert_eq!(command(&given), ["bf-admin", "--token", "***", "--password=***", "https://***@host/a@b"]);
        for (given, kept) in [
            (
                "cannot fetch `https://me:pw@host/a?x=1&access_token=s3cret&y=2`: no route, see http://a:b@c",
                "cannot fetch `https://***@host/a?x=1&access_token=***&y=2`: no route, see http://***@c",
            ),
            ("login me:pw@host:80/a failed", "login ***@host:80/a failed"),
            ("ghcr.io/o/n:1@sha256:00 o:1@sha256:00 a@b", "ghcr.io/o/n:1@sha256:00 o:1@sha256:00 a@b"),
            ("two\nlines and API_KEY=x", "two\nlines and API_KEY=***"),
        ] {
            assert_eq!(text(given), kept);
        }
    }
}
