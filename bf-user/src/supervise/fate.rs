//! Puts the end of an engine into words.

use super::engine::Ended;
use crate::job::{Cause, End, Job, JobDir};

/// The end of an engine that nobody asked to end.
pub(super) fn of_engine(dir: &JobDir, job: &Job, ended: &Ended) -> End {
    let last_lines = JobDir::last_lines(&dir.engine_log()).unwrap_or_default();
    let engine = &job.engine.id;
    let end = match &of_container(job, ended) {
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

/// A container's runtime tells the signal that ended the engine by an exit code above 128, as shells do.
fn of_container(job: &Job, ended: &Ended) -> Ended {
    match ended {
        Ended::Exit { code: code @ 129..=192 } if job.engine.image.is_some() => {
            Ended::Signal { number: code - 128 }
        }
        ended => ended.clone(),
    }
}

/// The end of a job that somebody or something asked to end.
pub(super) fn as_asked(cause: Cause, job: &Job) -> End {
    match cause {
        Cause::Idle => {
            let seconds = job.idle_timeout.unwrap_or_default();
            End::new(cause, format!("stopped after {seconds} s without a request"))
                .with_hint("start it again, with a longer --idle-timeout if that was too soon")
        }
        Cause::Walltime => End::time_is_up(),
        _ => End::new(cause, "stopped as asked"),
    }
}
