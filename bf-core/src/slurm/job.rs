//! `scontrol show job`: what the controller knows of one job.

use jiff::Timestamp;

use super::queue::said;
use super::{Comment, JobId, JobState, SlurmError, time};

/// What is known of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFacts {
    /// Its id.
    pub id: JobId,
    /// Its state.
    pub state: JobState,
    /// Why it waits or how it ended, in Slurm's word for it; see [`super::explain`].
    pub reason: Option<String>,
    /// The exit code of its script, once it is over and was not ended by a signal.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The user id of whoever cancelled it, where the accounts say so.
    pub cancelled_by: Option<u32>,
    /// The partition.
    pub partition: Option<String>,
    /// The nodes it has or had, as Slurm writes them.
    pub node_list: Option<String>,
    /// Seconds that it may run; `None`: as long as it likes, or not known.
    pub time_limit: Option<u64>,
    /// When it was told to make way for a job of higher priority.
    pub preempted: Option<Timestamp>,
    /// When it began, or is expected to.
    pub start: Option<Timestamp>,
    /// When it ended, or will have to.
    pub end: Option<Timestamp>,
    /// Its comment, if that is one of Blackfish.
    pub comment: Option<Comment>,
}

/// Keys whose value is any text, to the end of the line.
const FREE: [&str; 11] = [
    "JobName",
    "Command",
    "SubmitLine",
    "WorkDir",
    "StdErr",
    "StdIn",
    "StdOut",
    "Comment",
    "AdminComment",
    "SystemComment",
    "Extra",
];

/// Reads the first job. Not of the form with one line for each job: there a job's name could pass for other fields.
pub(super) fn read(output: &str) -> Result<Option<JobFacts>, SlurmError> {
    let record = output.split("\n\n").find(|record| !record.trim().is_empty());
    let Some(record) = record else { return Ok(None) };
    let unparsable = || SlurmError::unparsable("scontrol", record.lines().next().unwrap_or_default());
    let pairs: Vec<(&str, &str)> = record.lines().flat_map(pairs_of).collect();
    let get = |key: &str| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let state = JobState::read(get("JobState").ok_or_else(unparsable)?);
    let (exit_code, signal) = ending(get("ExitCode").unwrap_or_default(), &state);
    Ok(Some(JobFacts {
        id: get("JobId").and_then(|id| id.parse().ok()).ok_or_else(unparsable)?,
        reason: get("Reason").and_then(said),
        exit_code,
        signal,
        cancelled_by: None,
        partition: get("Partition").and_then(said),
        node_list: get("NodeList").and_then(said),
        time_limit: get("TimeLimit").and_then(time::seconds),
        preempted: get("PreemptTime").and_then(time::timestamp),
        start: get("StartTime").and_then(time::timestamp),
        end: get("EndTime").and_then(time::timestamp),
        comment: get("Comment").and_then(Comment::parse),
        state,
    }))
}

/// The pairs of one line.
fn pairs_of(line: &str) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    let mut rest = line.trim();
    while let Some((key, value)) = rest.split_once('=') {
        if FREE.contains(&key) {
            pairs.push((key, value));
            break;
        }
        let (value, after) = value.split_once(' ').unwrap_or((value, ""));
        pairs.push((key, value));
        rest = after.trim_start();
    }
    pairs
}

/// The exit code and the signal of `3:0`, once the job is over.
pub(super) fn ending(text: &str, state: &JobState) -> (Option<i32>, Option<i32>) {
    let Some((code, signal)) = text.split_once(':').filter(|_| state.is_over()) else { return (None, None) };
    match (code.parse().ok(), signal.parse().ok().filter(|signal| *signal != 0)) {
        (_, Some(signal)) => (None, Some(signal)),
        (code, None) => (code, None),
    }
}
