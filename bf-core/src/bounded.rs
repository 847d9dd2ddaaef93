//! Files that somebody else may have put there: only regular ones are read, and no more of them than is said.
//!
//! A named pipe would make us wait for its writer, a device or a file that grows would never end, and a link may lead to either.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::lock::refresh_open;
use fs_err::os::unix::fs::OpenOptionsExt;
use nix::libc::{ELOOP, O_CLOEXEC, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};

/// What is done with a path whose last part is a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// It is followed.
    Follow,
    /// It is refused.
    Refuse,
}

impl Links {
    /// The flags for `open`: it waits for nobody, is not inherited, and makes no terminal ours.
    pub(crate) fn flags(self) -> i32 {
        let always = O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
        if self == Self::Refuse { always | O_NOFOLLOW } else { always }
    }
}

/// Opens a regular file for reading.
///
/// # Errors
/// What is none is [`ErrorKind::InvalidData`]. The message names the path.
pub fn open(path: impl AsRef<Path>, links: Links) -> io::Result<fs_err::File> {
    let path = path.as_ref();
    let opened = fs_err::OpenOptions::new().read(true).custom_flags(links.flags()).open(path);
    regular(path, opened)
}

/// What was opened, if it is a regular file.
pub(crate) fn regular(path: &Path, opened: io::Result<fs_err::File>) -> io::Result<fs_err::File> {
    let refused = |what: &str| {
        io::Error::new(ErrorKind::InvalidData, format!("{} is {what}, where a file must be", path.display()))
    };
    let file = match opened {
        Err(error) => {
            // `fs_err` keeps the number out of reach, so the path is asked again for what it is.
            let found = fs_err::symlink_metadata(path);
            let is_link = found.as_ref().is_ok_and(std::fs::Metadata::is_symlink);
            return Err(match found {
                Ok(_) if is_link && loops(&error) => refused("a link"),
                Ok(found) if !is_link && !found.is_file() && error.kind() != ErrorKind::PermissionDenied => {
                    refused(kind(&found))
                }
                _ => error,
            });
        }
        Ok(file) => file,
    };
    refresh_open(file.file()); // a length that this host remembers from before would cut it off
    let found = file.metadata()?;
    if found.is_file() { Ok(file) } else { Err(refused(kind(&found))) }
}

fn loops(error: &io::Error) -> bool {
    error.kind() == io::Error::from_raw_os_error(ELOOP).kind()
}

fn kind(found: &std::fs::Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = found.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// All bytes of a regular file that has at most `limit` of them.
///
/// # Errors
/// As [`open`]; a larger one is [`ErrorKind::InvalidData`] too.
pub fn read(path: &Path, limit: u64, links: Links) -> io::Result<Vec<u8>> {
    contents(path, &open(path, links)?, limit)
}

/// All bytes of an open file that has at most `limit` of them.
///
/// # Errors
/// As [`read`].
pub fn contents(path: &Path, file: &fs_err::File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let message = format!("{} is larger than {}", path.display(), crate::report::human_bytes(limit));
        return Err(io::Error::new(ErrorKind::InvalidData, message));
    }
    Ok(bytes)
}

/// The text of a regular file that has at most `limit` bytes.
///
/// # Errors
/// As [`read`]; what is not UTF-8 is [`ErrorKind::InvalidData`] too.
pub fn text(path: &Path, limit: u64, links: Links) -> io::Result<String> {
    String::from_utf8(read(path, limit, links)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("{} is not UTF-8 text", path.display())))
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn only_files_are_read_and_nobody_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, link) = (dir.path().join("pipe"), dir.path().join("link"));
        nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o644)).unwrap();
        fs_err::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        let said = |path: &Path, links| {
            let error = read(path, 9, links).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            error.to_string()
        };
        assert!(said(&pipe, Links::Refuse).contains("is a named pipe"));
        assert!(said(&link, Links::Follow).contains("is a device"));
        assert!(said(&link, Links::Refuse).contains("is a link"));
        assert!(said(dir.path(), Links::Refuse).contains("is a folder"));
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(said(&socket, Links::Follow).contains("is a socket"));

        let file = dir.path().join("file");
        fs_err::write(&file, "123456789").unwrap();
        assert_eq!(text(&file, 9, Links::Refuse).unwrap(), "123456789");
        assert!(text(&file, 8, Links::Refuse).unwrap_err().to_string().ends_with("is larger than 8 B"));
        assert_eq!(read(&dir.path().join("none"), 9, Links::Refuse).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
