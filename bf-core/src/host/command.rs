//! Runs a program to its end and keeps what it said.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, Stdio};

use thiserror::Error;

use crate::report::{Exit, Explain};

/// What a program that ended with 0 said.
#[derive(Debug)]
pub struct Completed {
    /// Its standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
}

/// Why a program did not do its work.
#[derive(Debug, Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("{program} cannot be started: {source}")]
    NotStarted {
        /// The program as it was named.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It ended with something else than 0.
    #[error("{program} {ending}: {last_lines}")]
    Failed {
        /// The program as it was named.
        program: String,
        /// `ended with 1` or `was killed by signal 9`.
        ending: String,
        /// The last lines it wrote to stderr, or else to stdout.
        last_lines: String,
    },
    /// It took longer than it may.
    #[error("{program} did not end within {seconds} seconds")]
    TimedOut {
        /// The program as it was named.
        program: String,
        /// What it was given.
        seconds: u64,
    },
    /// It said more than it may.
    #[error("{program} wrote more than {bytes} bytes")]
    TooMuch {
        /// The program as it was named.
        program: String,
        /// What it was allowed.
        bytes: u64,
    },
}

impl Explain for CommandError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotStarted { .. } => "program_not_started",
            Self::Failed { .. } => "program_failed",
            Self::TimedOut { .. } => "program_timed_out",
            Self::TooMuch { .. } => "program_wrote_too_much",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotStarted { source, .. } => source.exit(),
            Self::TimedOut { .. } => Exit::Unreachable,
            Self::Failed { .. } | Self::TooMuch { .. } => Exit::Failed,
        }
    }
}

/// Runs `command` with no standard input. Environment and arguments are the caller's; nothing passes a shell.
pub fn run(command: &mut Command) -> Result<Completed, CommandError> {
    const LAST_LINES: usize = 5;
    let program = display_name(command.get_program());
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| CommandError::NotStarted { program: program.clone(), source })?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(Completed { stdout });
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = if stderr.trim().is_empty() { stdout.as_str() } else { stderr.as_ref() };
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last_lines = lines[lines.len().saturating_sub(LAST_LINES)..].join("; ");
    Err(CommandError::Failed {
        program,
        ending: ending(output.status),
        last_lines: if last_lines.is_empty() { "it said nothing".into() } else { last_lines },
    })
}

pub(super) fn display_name(program: &OsStr) -> String {
    program.to_string_lossy().into_owned()
}

/// `ended with 1` or `was killed by signal 9`.
pub fn ending(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_quoted_with_its_last_lines() {
        let error = run(Command::new("sh").args(["-c", "echo one >&2; echo two >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh ended with 3: one; two");
        let error = run(&mut Command::new("/nonexistent/program")).unwrap_err();
        assert_eq!(error.exit(), Exit::NotFound);
    }
}
