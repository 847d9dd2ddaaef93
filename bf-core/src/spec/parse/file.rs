//! Reads a text file for the parser: a regular file, of bounded size, in UTF-8.

use std::io::{self, Read};
use std::path::Path;

use super::Position;
use crate::bounded::{self, Links};
use crate::report::Finding;

/// The largest file that is parsed, in bytes: 1 MiB.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Why a file could not become text.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is not there, may not be read, or is not a file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file was read and is not something to parse.
    #[error("{}", .0.message)]
    Invalid(Finding),
}

/// Reads `path` as text.
///
/// # Errors
/// [`ReadError::Io`] names the path. A link that leads nowhere is told apart from a file that is not there: its
/// kind is not `NotFound`. A file that is too large or not UTF-8 is [`ReadError::Invalid`].
pub fn read_text(path: &Path) -> Result<String, ReadError> {
    // Not a named pipe: it would make us wait for its writer.
    let file = match bounded::open(path, Links::Follow) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs_err::symlink_metadata(path).is_ok() => {
            let message = format!("`{}` is a link to something that is not there", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message).into());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(io::Error::new(error.kind(), format!("there is no file `{}`", path.display())).into());
        }
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    decode(bytes).map_err(ReadError::Invalid)
}

/// Reads a text from a stream of the process, to its end.
///
/// # Errors
/// As [`read_text`].
pub fn read_stream(stream: impl Read) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    stream.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    decode(bytes).map_err(ReadError::Invalid)
}

/// Bytes as text that can be a document.
pub(super) fn decode(bytes: Vec<u8>) -> Result<String, Finding> {
    if bytes.len() > MAX_BYTES {
        return Err(too_large());
    }
    if is_wide(&bytes) {
        return Err(Position::START
            .error("not_utf8", "the file is UTF-16 or UTF-32 text, not UTF-8")
            .with_hint("save it as UTF-8; in a shell: iconv -f UTF-16 -t UTF-8 FILE"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        end_of(&String::from_utf8_lossy(valid))
            .error("not_utf8", "the file is not UTF-8 text: here is a byte that has no place in it")
            .with_hint("save it as UTF-8; if it is Latin-1: iconv -f LATIN1 -t UTF-8 FILE")
    })?;
    match text.find('\0') {
        None => Ok(text),
        Some(index) => Err(end_of(&text[..index])
            .error("nul_byte", "a NUL byte, which no text has")
            .with_hint("was it cut off or damaged, or is it no text file?")),
    }
}

/// Whether it begins as UTF-16 or UTF-32 does: with a mark, or with a character of ASCII and its zeros.
fn is_wide(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 0, 0xfe, 0xff, ..])
        || matches!(bytes, [a, 0, b, 0, ..] | [0, a, 0, b, ..] if *a != 0 && *b != 0)
}

/// The finding for a text above [`MAX_BYTES`].
pub(super) fn too_large() -> Finding {
    Finding::error("file_too_large", "the file is larger than 1 MiB")
        .with_hint("is this the right file? A configuration is a few kilobytes")
}

/// The lines of a text as YAML counts them (1.2, 5.4): a carriage return alone ends one too.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// The position just behind a text.
fn end_of(text: &str) -> Position {
    let last = lines(text).last().unwrap_or(text);
    Position {
        line: u32::try_from(lines(text).count()).unwrap_or(u32::MAX),
        column: u32::try_from(last.chars().count() + 1).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_small_utf8_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");

        fs_err::write(&path, b"a: 1\nb\xff: 2\n").unwrap();
        let ReadError::Invalid(finding) = read_text(&path).unwrap_err() else { panic!("not invalid") };
        assert_eq!((finding.code, finding.line, finding.column), ("not_utf8", Some(2), Some(2)));

        for (bytes, code) in [
            (&b"\xff\xfea\0:\0"[..], "not_utf8"),
            (b"\xfe\xff\0a\0:", "not_utf8"),
            (b"a\0:\0 \0b\0", "not_utf8"),
            (b"\0a\0:", "not_utf8"),
            (b"a: b\0c", "nul_byte"),
        ] {
            assert_eq!(decode(bytes.to_vec()).unwrap_err().code, code, "{bytes:?}");
        }
        let finding = decode(b"a: 1\nb: \0".to_vec()).unwrap_err();
        assert_eq!((finding.line, finding.column), (Some(2), Some(4)));
        fs_err::write(&path, vec![b'#'; MAX_BYTES + 1]).unwrap();
        let ReadError::Invalid(finding) = read_text(&path).unwrap_err() else { panic!("not invalid") };
        assert_eq!(finding.code, "file_too_large");

        assert!(matches!(read_text(dir.path()), Err(ReadError::Io(_))));

        let link = dir.path().join("link");
        fs_err::os::unix::fs::symlink("nowhere", &link).unwrap();
        let ReadError::Io(error) = read_text(&link).unwrap_err() else { panic!("not an i/o error") };
        assert_ne!(error.kind(), io::ErrorKind::NotFound);
    }
}
