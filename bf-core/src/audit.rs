//! The audit log: one JSON line for every command that changed a cache or was refused.

mod redact;

use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt;
use serde::Serialize;

use crate::bounded::{self, Links};
use crate::site::Layout;

/// One line of the log.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    user: String,
    host: String,
    command: &'a [String],
    result: &'a str,
}

/// Appends one line: when, who, where, what (arguments with secrets removed) and how it ended.
///
/// The line is written in one call to a file opened for appending, so that a refused command, which does not hold
/// the lock, cannot cut through the line of the one that does. What another one could not finish stays a line of its own.
///
/// # Errors
/// What is there and is no file, or a file with a second name elsewhere, is [`io::ErrorKind::InvalidData`]. Of a line that cannot be
/// written whole nothing is left.
pub fn append(layout: &Layout, command: &[String], result: &str) -> io::Result<()> {
    let command: Vec<String> = redact::command(command);
    let result = redact::text(result);
    let line = Line {
        time: crate::host::now(),
        user: crate::host::user(),
        host: crate::host::name(),
        command: &command,
        result: &result,
    };
    let mut text = serde_json::to_vec(&line)?;
    text.push(b'\n');
    let path = layout.audit();
    let is_new = fs_err::symlink_metadata(&path).is_err();
    let opened = fs_err::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(Links::Refuse.flags()) // a link would make us write elsewhere, and a pipe wait
        .open(&path);
    let mut file = bounded::regular(&path, opened)?;
    let found = file.metadata()?;
    if found.nlink() > 1 {
        let message =
            format!("{} is the same file as another one, which would be written to", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    if is_new {
        file.set_permissions(std::fs::Permissions::from_mode(0o640))?; // whatever the umask
    }
    let mut last = [b'\n'];
    if let Some(at) = found.len().checked_sub(1) {
        file.file().read_at(&mut last, at)?;
    }
    if last != *b"\n" {
        text.insert(0, b'\n');
    }
    write_whole(&mut file, &path, found.len(), &text)?;
    file.sync_data()
}

/// Appends `text` to a file of `before` bytes, or takes back what of it there is.
fn write_whole(file: &mut fs_err::File, path: &Path, before: u64, text: &[u8]) -> io::Result<()> {
    let written = file.write(text)?;
    let rest = text.get(written..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(());
    }
    // Why it was cut short only the next write says.
    let Err(error) = file.write_all(rest) else { return Ok(()) };
    // Behind ours there may be the line of somebody else by now.
    if file.metadata()?.len() < before + text.len() as u64 {
        file.set_len(before)?;
    }
    Err(io::Error::new(error.kind(), format!("no line can be written to {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        (dir, layout)
    }

    #[test]
    fn lines_are_appended_and_the_file_is_not_for_everybody() {
        let (_dir, layout) = cache();
        append(&layout, &["bf-admin".into(), "setup".into()], "ok").unwrap();
        append(&layout, &["bf-admin".into(), "setup".into()], "busy").unwrap();
        let text = fs_err::read_to_string(layout.audit()).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
        assert_eq!(fs_err::metadata(layout.audit()).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn what_was_cut_off_does_not_spoil_the_next_line() {
        let (_dir, layout) = cache();
        fs_err::write(layout.audit(), "{\"time\": \"20").unwrap();
        append(&layout, &["bf-admin".into()], "ok").unwrap();
        append(&layout, &["bf-admin".into()], "ok").unwrap();
        let text = fs_err::read_to_string(layout.audit()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(lines[1]).is_ok(), "{text}");
    }

    #[test]
    fn a_pipe_a_link_and_a_file_of_somebody_else_are_not_written_to() {
        let (dir, layout) = cache();
        let other = dir.path().join("other");
        fs_err::write(&other, "").unwrap();
        let refused = || {
            let error = append(&layout, &[], "ok").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            fs_err::remove_file(layout.audit()).unwrap();
        };
        nix::unistd::mkfifo(&layout.audit(), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
        refused();
        fs_err::hard_link(&other, layout.audit()).unwrap();
        refused();
        fs_err::os::unix::fs::symlink(&other, layout.audit()).unwrap();
        refused();
        assert_eq!(fs_err::metadata(&other).unwrap().len(), 0);
    }
}
