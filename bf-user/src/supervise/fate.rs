//! Puts the end of an engine into words.

use bf_core::report::Failure;

use super::engine::Ended;
use crate::job::{Cause, End, Job, JobDir};

/// Lines of the engine's log that an end quotes.
const LAST_LINES: usize = 20;
/// Bytes at the end of the log that are looked at for them.
const TAIL_BYTES: u64 = 16 * 1024;

/// The end of an engine that nobody asked to end.
pub(super) fn of_engine(dir: &JobDir, job: &Job, ended: &Ended) -> End {
    let last_lines = last_lines(dir).unwrap_or_default();
    let engine = &job.engine.id;
    let end = match ended {
        Ended::Exit { code } => End {
            exit_code: Some(*code),
            ..End::new(Cause::EngineExit, format!("the engine {engine} ended by itself with {code}"))
        },
        Ended::Signal { number: 9 } => End {
            signal: Some(9),
            ..End::new(Cause::Signal, format!("the engine {engine} was killed (signal 9)"))
        }
        .with_hint("if nobody killed it, the host ran out of memory: try a tier with more"),
        Ended::Signal { number } => End {
            signal: Some(*number),
            ..End::new(Cause::Signal, format!("the engine {engine} was ended by signal {number}"))
        },
        Ended::NotStarted { error } => {
            End::new(Cause::MissingFile, format!("the engine {engine} could not be started: {error}"))
        }
        Ended::GuardianGone => End::new(
            Cause::Unknown,
            format!("the guardian of the engine {engine} is gone, and the engine with it"),
        ),
    };
    let hint =
        end.hint.clone().or_else(|| Some(format!("`bf-user logs {}` shows what the engine said", job.name)));
    End { hint, last_lines, ..end }
}

/// The end of a job that somebody or something asked to end.
pub(super) fn as_asked(cause: Cause, job: &Job) -> End {
    match cause {
        Cause::Idle => {
            let seconds = job.idle_timeout.unwrap_or_default();
            End::new(cause, format!("stopped after {seconds} s without a request"))
                .with_hint("start it again, with a longer --idle-timeout if that was too soon")
        }
        Cause::Walltime => {
            End::new(cause, "its time was up").with_hint("start it again with a longer --time")
        }
        _ => End::new(cause, "stopped as asked"),
    }
}

/// The last lines of the engine's log; bytes that are not UTF-8 are replaced.
fn last_lines(dir: &JobDir) -> Result<Vec<String>, Failure> {
    use std::io::{Read, Seek, SeekFrom};
    let mut log = fs_err::File::open(dir.engine_log())?;
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    log.take(TAIL_BYTES).read_to_end(&mut tail)?;
    let text = String::from_utf8_lossy(&tail);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(ToString::to_string).collect())
}
