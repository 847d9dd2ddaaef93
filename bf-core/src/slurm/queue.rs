//! `squeue`: the jobs that wait, run, or ended a short while ago.

use std::io;

use jiff::Timestamp;

use super::{Comment, JobId, JobState, SlurmError, time};

/// One job of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedJob {
    /// Its id. Jobs of an array that wait are one line of the queue, and have the array's id.
    pub id: JobId,
    /// Its state.
    pub state: JobState,
    /// Why it waits or how it ended, in Slurm's word for it; see [`super::explain`].
    pub reason: Option<String>,
    /// The partition, or several with commas between them while it waits.
    pub partition: String,
    /// The account it is charged to.
    pub account: Option<String>,
    /// Whose it is.
    pub user: String,
    /// The nodes it has or had, as Slurm writes them (`node[1-2]`).
    pub node_list: Option<String>,
    /// When it began, or is expected to.
    pub start: Option<Timestamp>,
    /// When it ended, or will have to.
    pub end: Option<Timestamp>,
    /// Seconds until its time limit; `None` where there is none. While it waits, all of the limit.
    pub time_left: Option<u64>,
    /// Its comment, if that is one of Blackfish.
    pub comment: Option<Comment>,
    /// Its name: any text.
    pub name: String,
}

/// The number of fields that Slurm and the administrators write.
const FIELDS: usize = 10;

/// What `squeue` is asked for. Names and comments are their owners' text and may hold anything, whole lines too: a word that
/// nobody knew before this call stands before each job and around the two.
pub(super) fn arguments(mark: &str) -> Vec<String> {
    let format = format!("{mark}|%A|%T|%r|%P|%a|%u|%N|%S|%e|%L|{mark}|%k|{mark}|%j");
    ["--states=all", "--noheader", "--format"].map(str::to_owned).into_iter().chain([format]).collect()
}

/// A word that nobody knew before.
pub(super) fn mark() -> Result<String, SlurmError> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| SlurmError::NotStarted { program: "squeue", source: io::Error::other(error) })?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// Reads all jobs.
pub(super) fn read(output: &str, mark: &str) -> Result<Vec<QueuedJob>, SlurmError> {
    records(output, mark)
        .map(|record| job(&record).ok_or_else(|| SlurmError::unparsable("squeue", &record.join("|"))))
        .collect()
}

/// Reads the jobs that can be read.
pub(super) fn read_leniently(output: &str, mark: &str) -> Vec<QueuedJob> {
    records(output, mark).filter_map(|record| job(&record)).collect()
}

/// The parts of each job: what Slurm says, the comment, the name.
fn records<'a>(output: &'a str, mark: &str) -> impl Iterator<Item = Vec<&'a str>> {
    // What stands before the first mark is no job.
    let mut parts = output.split(&format!("{mark}|")).skip(1).collect::<Vec<_>>().into_iter();
    std::iter::from_fn(move || {
        let record: Vec<&str> = parts.by_ref().take(3).collect();
        (!record.is_empty()).then_some(record)
    })
}

fn job(record: &[&str]) -> Option<QueuedJob> {
    let [facts, comment, name] = record else { return None };
    let fields: Vec<&str> = facts.strip_suffix('|')?.split('|').collect();
    let [id, state, reason, partition, account, user, nodes, start, end, left]: [&str; FIELDS] =
        fields.try_into().ok()?;
    Some(QueuedJob {
        id: id.trim().parse().ok()?,
        state: JobState::read(state),
        reason: said(reason),
        partition: partition.trim().to_owned(),
        account: said(account),
        user: user.trim().to_owned(),
        node_list: said(nodes),
        start: time::timestamp(start),
        end: time::timestamp(end),
        time_left: time::seconds(left),
        comment: Comment::parse(comment.strip_suffix('|')?),
        name: name.strip_suffix('\n').unwrap_or(name).to_owned(),
    })
}

/// A field, or `None` where Slurm writes a word for nothing.
pub(super) fn said(text: &str) -> Option<String> {
    let text = text.trim();
    let nothing = ["", "None", "(null)", "N/A", "n/a", "none", "Unknown", "None assigned"];
    (!nothing.contains(&text)).then(|| text.to_owned())
}
