//! The audit log: one JSON line for every command that changed a cache or was refused.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use fs_err::os::unix::fs::OpenOptionsExt;
use serde::Serialize;

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
/// the lock, cannot cut through the line of the one that does.
pub fn append(layout: &Layout, command: &[String], result: &str) -> std::io::Result<()> {
    let command: Vec<String> = redact(command);
    let line = Line {
        time: crate::host::now(),
        user: crate::host::user(),
        host: crate::host::name(),
        command: &command,
        result,
    };
    let mut text = serde_json::to_vec(&line)?;
    text.push(b'\n');
    let path = layout.audit();
    let is_new = fs_err::symlink_metadata(&path).is_err();
    let mut file = fs_err::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(nix::libc::O_NOFOLLOW) // a link would make us write elsewhere
        .open(&path)?;
    if is_new {
        file.set_permissions(std::fs::Permissions::from_mode(0o640))?; // whatever the umask
    }
    file.write_all(&text)?;
    file.sync_data()
}

/// Removes what may be a secret: credentials in URLs, and the values of options named after secrets.
fn redact(command: &[String]) -> Vec<String> {
    const SECRET: [&str; 4] = ["token", "password", "secret", "api-key"];
    let is_secret =
        |option: &str| option.starts_with("--") && SECRET.iter().any(|word| option.contains(word));
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
            without_credentials(argument)
        })
        .collect()
}

/// `https://user:password@host/path` without what is before the `@`.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_reach_the_log() {
        let command =
            ["bf-admin", "--token", "hf_abc", "--password=x", "https://me:pw@host/a@b"].map(String::from);
        assert_eq!(
            redact(&command),
            ["bf-admin", "--token", "***", "--password=***", "https://***@host/a@b"]
        );
    }

    #[test]
    fn lines_are_appended_and_the_file_is_not_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        append(&layout, &["bf-admin".into(), "setup".into()], "ok").unwrap();
        append(&layout, &["bf-admin".into(), "setup".into()], "busy").unwrap();
        let text = fs_err::read_to_string(layout.audit()).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
        assert_eq!(fs_err::metadata(layout.audit()).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
