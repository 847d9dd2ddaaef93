//! Quoting for the POSIX shell.

/// The word that a POSIX shell reads as exactly `text`; `None` if it holds a NUL byte, which no argument can.
pub fn shell_quote(text: &str) -> Option<String> {
    if text.contains('\0') {
        return None;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return Some(text.to_owned());
    }
    Some(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_and_the_rest_is_quoted() {
        assert_eq!(shell_quote("gpu:a100:2").as_deref(), Some("gpu:a100:2"));
        assert_eq!(shell_quote("").as_deref(), Some("''"));
        assert_eq!(shell_quote("it's").as_deref(), Some(r"'it'\''s'"));
        assert_eq!(shell_quote("~").as_deref(), Some("'~'"));
        assert_eq!(shell_quote("a\0b"), None);
    }
}
