//! The programs of Slurm: where they are, what environment they get, what it means when they fail.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::error::beginning;
use super::{Refusal, SlurmError};
use crate::host::{self, CommandError, Limits};
use crate::settings::Environment;

/// Of a cluster with ten thousand jobs `squeue` prints some megabytes.
const LIMITS: Limits = Limits { time: Duration::from_secs(20), output: 64 * 1024 * 1024 };

/// What the programs and the jobs get of the user's environment. Nothing that is a secret, and nothing that changes what Slurm
/// prints or asks for (`SBATCH_*`, `SQUEUE_*`, `SLURM_TIME_FORMAT` and many more).
const KEPT: [&str; 5] = ["PATH", "HOME", "USER", "LOGNAME", "SLURM_CONF"];

/// Where the programs are, and what they may know and take.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    path: String,
    kept: Vec<(&'static str, String)>,
    own: Vec<(&'static str, String)>,
    pub(super) limits: Limits,
}

impl Programs {
    pub(super) fn of(environment: &Environment) -> Option<Self> {
        let get = |name: &'static str| environment.get(name).map(|value| (name, value.to_owned()));
        let mut kept: Vec<_> = KEPT.into_iter().filter_map(get).collect();
        for name in ["USER", "LOGNAME"] {
            if environment.get(name).is_none() {
                kept.push((name, host::user()));
            }
        }
        let mut own: Vec<_> = ["TZ", "LANG"].into_iter().filter_map(get).collect();
        if environment.get("LANG").is_none() {
            own.push(("LANG", "C.UTF-8".into()));
        }
        Some(Self { path: environment.get("PATH")?.to_owned(), kept, own, limits: LIMITS })
    }

    /// The file that `program` is, by the PATH.
    pub(super) fn find(&self, program: &'static str) -> Result<PathBuf, SlurmError> {
        host::find_program(program, &self.path).ok_or(SlurmError::Missing { program })
    }

    /// A program that only asks: English, and times in UTC, so that no reader needs to know this host's time zone.
    pub(super) fn ask<'a>(
        &self,
        program: &'static str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Result<Said, SlurmError> {
        let mut command = self.command(program)?;
        self.run(program, command.env("LANG", "C.UTF-8").env("TZ", "UTC0").args(arguments))
    }

    /// A program that acts for the user: its language and time zone are the user's, because they become the job's.
    pub(super) fn act(&self, program: &'static str, command: &mut Command) -> Result<Said, SlurmError> {
        self.run(program, command.envs(self.own.iter().cloned()))
    }

    /// The program with nothing in its environment but what is kept.
    pub(super) fn command(&self, program: &'static str) -> Result<Command, SlurmError> {
        let mut command = Command::new(self.find(program)?);
        command.env_clear().envs(self.kept.iter().cloned());
        Ok(command)
    }

    fn run(&self, program: &'static str, command: &mut Command) -> Result<Said, SlurmError> {
        let ended = host::run_within(command, self.limits).map_err(|error| match error {
            CommandError::NotStarted { source, .. } => SlurmError::NotStarted { program, source },
            CommandError::TimedOut { seconds, .. } => SlurmError::TimedOut { program, seconds },
            other => SlurmError::Failed { program, ending: "failed".into(), message: other.to_string() },
        })?;
        let ending = if ended.status.success() { None } else { Some(host::ending(ended.status)) };
        Ok(Said { program, stdout: ended.stdout, stderr: ended.stderr, ending })
    }
}

/// What a program said, and how it ended if not well.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) program: &'static str,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// `None` after exit code 0.
    pub(super) ending: Option<String>,
}

/// How many lines of what a program said go into a message.
const LAST_LINES: usize = 3;

/// What the commands write when the controller does not answer.
const AWAY: [&str; 8] = [
    "unable to contact slurm controller",
    "socket timed out",
    "connection refused",
    "connection reset by peer",
    "connect failure",
    "could not establish a configuration source",
    "controller is in standby mode",
    "rate limit exceeded",
];

impl Said {
    /// What it printed, if it ended well.
    pub(super) fn output(self) -> Result<String, SlurmError> {
        if self.ending.is_none() { Ok(self.stdout) } else { Err(self.error()) }
    }

    /// Whether what it said on stderr holds this, without regard to case.
    pub(super) fn mentions(&self, text: &str) -> bool {
        self.stderr.to_lowercase().contains(text)
    }

    /// Why it failed.
    pub(super) fn error(self) -> SlurmError {
        let message = self.message();
        if AWAY.iter().any(|sign| self.mentions(sign)) {
            return SlurmError::Unreachable { message };
        }
        if let Some(kind) = Refusal::of(&self.stderr) {
            return SlurmError::Refused { kind, message };
        }
        let ending = self.ending.unwrap_or_else(|| "failed".into());
        SlurmError::Failed { program: self.program, ending, message }
    }

    /// What it wrote to stderr, in one line and without the words that each line begins with.
    pub(super) fn message(&self) -> String {
        let plain = |line: &str| {
            let line = line.trim();
            let line =
                line.strip_prefix(self.program).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(line);
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        };
        let mut lines: Vec<String> = self.stderr.lines().map(plain).filter(|line| !line.is_empty()).collect();
        lines.dedup();
        // What went wrong in the end stands at the end.
        let lines = &lines[lines.len().saturating_sub(LAST_LINES)..];
        if lines.is_empty() { "it said nothing".into() } else { beginning(&lines.join("; ")) }
    }
}
