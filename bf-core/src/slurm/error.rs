//! What can go wrong between us and Slurm.

use std::io;

use crate::report::{Exit, Explain};

use super::Refusal;

/// Why Slurm did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// A program of Slurm is not there.
    #[error("{program} is not on the PATH")]
    Missing {
        /// The program.
        program: &'static str,
    },
    /// A program could not be started.
    #[error("{program} cannot be started: {source}")]
    NotStarted {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A program did not come to its end and was killed.
    #[error("{program} did not answer within {seconds} seconds")]
    TimedOut {
        /// The program.
        program: &'static str,
        /// What it was given.
        seconds: u64,
    },
    /// Slurm's controller does not answer.
    #[error("Slurm cannot be reached: {message}")]
    Unreachable {
        /// What the program said.
        message: String,
    },
    /// The cluster keeps no accounts of ended jobs, or they cannot be reached.
    #[error("Slurm's accounting cannot be asked: {message}")]
    NoAccounting {
        /// What the program said.
        message: String,
    },
    /// Slurm understood and said no.
    #[error("Slurm refused: {message}")]
    Refused {
        /// What is at fault.
        kind: Refusal,
        /// What the program said.
        message: String,
    },
    /// A program printed something that cannot be understood.
    #[error("{program} printed something that cannot be understood: {line:?}")]
    Unparsable {
        /// The program.
        program: &'static str,
        /// The line, or its beginning.
        line: String,
    },
    /// A value that must not reach Slurm.
    #[error("{value:?} cannot be used as {option}: {reason}")]
    InvalidValue {
        /// What it is for: an option of `sbatch`, or `job id`, `user`.
        option: String,
        /// The value, or its beginning.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A program failed for another reason.
    #[error("{program} {ending}: {message}")]
    Failed {
        /// The program.
        program: &'static str,
        /// `ended with 1` or `was killed by signal 9`.
        ending: String,
        /// What it said.
        message: String,
    },
}

/// How much of a text that is not ours goes into a message.
const SHOWN: usize = 300;

/// The beginning of a text, where it is long.
pub(super) fn beginning(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

impl SlurmError {
    pub(super) fn invalid(option: &str, value: &str, reason: &'static str) -> Self {
        Self::InvalidValue { option: beginning(option), value: beginning(value), reason }
    }

    pub(super) fn unparsable(program: &'static str, line: &str) -> Self {
        Self::Unparsable { program, line: beginning(line) }
    }
}

impl Explain for SlurmError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "slurm_missing",
            Self::NotStarted { .. } => "slurm_not_started",
            Self::TimedOut { .. } => "slurm_timed_out",
            Self::Unreachable { .. } => "slurm_unreachable",
            Self::NoAccounting { .. } => "slurm_no_accounting",
            Self::Refused { kind, .. } => kind.code(),
            Self::Unparsable { .. } => "slurm_unparsable",
            Self::InvalidValue { .. } => "slurm_invalid_value",
            Self::Failed { .. } => "slurm_failed",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Missing { program } => {
                return Some(format!(
                    "run this on a login node of the cluster, and load Slurm first where it is a module; `{program}` belongs to it"
                ));
            }
            Self::TimedOut { .. } => "Slurm is busy or its controller is away: try again in some minutes",
            Self::Unreachable { .. } => {
                "Slurm's controller is away or restarting: try again in some minutes; jobs that run are not touched"
            }
            Self::NoAccounting { .. } => {
                "nothing is lost: only jobs that ended a while ago are not known any more"
            }
            Self::Refused { kind, .. } => return kind.hint().map(str::to_owned),
            Self::Unparsable { .. } => {
                "run the same command by hand: something on this host may change what Slurm prints"
            }
            Self::NotStarted { .. } | Self::InvalidValue { .. } | Self::Failed { .. } => return None,
        };
        Some(hint.into())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Missing { .. }
            | Self::TimedOut { .. }
            | Self::Unreachable { .. }
            | Self::NoAccounting { .. } => Exit::Unreachable,
            Self::NotStarted { source, .. } => source.exit(),
            Self::Refused { kind, .. } => kind.exit(),
            Self::InvalidValue { .. } => Exit::Usage,
            Self::Unparsable { .. } | Self::Failed { .. } => Exit::Failed,
        }
    }
}
