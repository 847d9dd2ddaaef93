//! What is shown of texts that somebody else chose: names of files, owners of locks, what a program said.
//!
//! A terminal obeys control characters, and the marks that turn the direction of writing make a text look like another one. JSON
//! escapes the former itself and is exact.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::template::shell_quote;

/// The text on one line, with everything escaped that a terminal would not show as it is.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// The same of a text of several lines: line feeds and tabs stay.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| matches!(character, '\n' | '\t'))
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_plain = |character: char| !is_unshown(character) || stays(character);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_plain(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    Cow::Owned(shown)
}

/// Control characters (C0, C1, DEL), separators of lines, and marks of direction (Unicode Standard Annex 9, table 4 and 2.6).
pub(crate) fn is_unshown(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A path as a word of a command that somebody will paste into a shell.
pub fn shell_quoted(path: &Path) -> String {
    let Some(text) = path.to_str() else { return ansi_c(path) };
    match shell_quote(text) {
        Some(word) if !text.chars().any(is_unshown) => word,
        _ => ansi_c(path),
    }
}

/// The quotes of bash, zsh and ksh for what cannot be typed: `$'\033'`.
fn ansi_c(path: &Path) -> String {
    let mut word = String::from("$'");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'\'' | b'\\' => word.extend(['\\', char::from(*byte)]),
            0x20..=0x7e => word.push(char::from(*byte)),
            _ => drop(write!(word, "\\{byte:03o}")),
        }
    }
    word.push('\'');
    word
}

/// Writes text to a stream and escapes what a terminal would obey.
#[derive(Debug)]
pub(super) struct Plain<W> {
    to: W,
    /// The first bytes of a character whose others are still to come.
    begun: Vec<u8>,
}

impl<W: io::Write> Plain<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, begun: Vec::new() }
    }
}

impl<W: io::Write> io::Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.begun) {
            Ok(text) => text.len(),
            // The end is missing.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            // It is no UTF-8, and is shown as well as it can be.
            Err(_) => self.begun.len(),
        };
        let rest = self.begun.split_off(whole);
        let text = std::mem::replace(&mut self.begun, rest);
        self.to.write_all(lines(&String::from_utf8_lossy(&text)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Paths in JSON, which knows no bytes: what is not UTF-8 in a name becomes U+FFFD, and does not cut the document off.
pub mod lossy {
    use std::path::{Path, PathBuf};

    use serde::Serializer;

    /// For `serialize_with` at a path.
    pub fn path<S: Serializer>(path: impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&path.as_ref().display())
    }

    /// For `serialize_with` at a path that may be missing.
    #[allow(clippy::ref_option, reason = "serde gives it so")]
    pub fn maybe<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        match path {
            Some(path) => serializer.serialize_some(&path.to_string_lossy()),
            None => serializer.serialize_none(),
        }
    }

    /// For `serialize_with` at several paths.
    pub fn all<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        assert_eq!(one_line("a b\u{e9}"), "a b\u{e9}");
        assert_eq!(one_line("a\x1b[2J\nb\u{9b}\u{202e}"), r"a\u{1b}[2J\nb\u{9b}\u{202e}");
        assert_eq!(lines("a\tb\n\x07"), "a\tb\n\\u{7}");
        let mut out = Vec::new();
        let mut plain = Plain::new(&mut out);
        for byte in "\u{e9}\u{202e}\n\x1b".as_bytes() {
            plain.write_all(&[*byte]).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "\u{e9}\\u{202e}\n\\u{1b}");
    }

    #[test]
    fn what_is_to_be_pasted_is_one_word() {
        for (name, word) in [
            (&b"/a/b"[..], "/a/b"),
            (b"/a b;rm", "'/a b;rm'"),
            (b"/it's", r"'/it'\''s'"),
            (b"/\x1b'\xff", r"$'/\033\'\377'"),
        ] {
            assert_eq!(shell_quoted(Path::new(std::ffi::OsStr::from_bytes(name))), word);
        }
    }
}
