//! `squeue`: the jobs that wait, run, or ended a short while ago.

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

/// One line for each job. What its owner chose freely comes last, so that nothing in it can pass for another field.
pub(super) const ARGUMENTS: [&str; 4] =
    ["--states=all", "--noheader", "--format", "%A|%T|%r|%P|%a|%u|%N|%S|%e|%L|%k|%j"];

/// The number of fields in a line.
const FIELDS: usize = 12;

/// Reads all lines.
pub(super) fn read(output: &str) -> Result<Vec<QueuedJob>, SlurmError> {
    let job = |line: &str| job(line).ok_or_else(|| SlurmError::unparsable("squeue", line));
    output.lines().filter(|line| !line.trim().is_empty()).map(job).collect()
}

/// Reads the lines that can be read.
pub(super) fn read_leniently(output: &str) -> Vec<QueuedJob> {
    output.lines().filter_map(job).collect()
}

fn job(line: &str) -> Option<QueuedJob> {
    let fields: Vec<&str> = line.splitn(FIELDS, '|').collect();
    let [id, state, reason, partition, account, user, nodes, start, end, left, comment, name] = fields[..]
    else {
        return None;
    };
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
        comment: Comment::parse(comment),
        name: name.to_owned(),
    })
}

/// A field, or `None` where Slurm writes a word for nothing.
pub(super) fn said(text: &str) -> Option<String> {
    let text = text.trim();
    let nothing = ["", "None", "(null)", "N/A", "n/a", "none", "Unknown", "None assigned"];
    (!nothing.contains(&text)).then(|| text.to_owned())
}
