//! What a job of Slurm knows of itself, from inside.

use std::time::{Duration, SystemTime};

use bf_core::settings::Environment;
use bf_core::slurm::{JobId, Slurm};

use crate::job::{Cause, End};

/// Before Slurm ends the job, so that it is ended by us, with its reason: Slurm signals everything at once, and what the
/// engine was doing is lost.
const MARGIN: Duration = Duration::from_secs(15);

/// The job that this process runs in.
pub(super) fn own_job() -> Option<JobId> {
    std::env::var("SLURM_JOB_ID").ok()?.parse().ok()
}

/// How long the service may run: until shortly before Slurm's end of the job, or else its limit, in seconds.
pub(super) fn time_left(limit: Option<u64>) -> Option<Duration> {
    let left = end_of_job()
        .map(|end| end.duration_since(SystemTime::now()).unwrap_or_default())
        .or(limit.map(Duration::from_secs))?;
    Some(left.saturating_sub(MARGIN.min(left / 8)))
}

/// When Slurm ends the job, which it tells since 23.02.
fn end_of_job() -> Option<SystemTime> {
    let seconds = std::env::var("SLURM_JOB_END_TIME").ok()?.parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Why Slurm ends this job, where it is not because somebody wished it. While a job completes, Slurm shows no other state than
/// that; what tells is the time and the node.
pub(super) fn why_stopped() -> Option<End> {
    if end_of_job().is_some_and(|end| end <= SystemTime::now() + Duration::from_secs(1)) {
        return Some(
            End::new(Cause::Walltime, "its time was up").with_hint("start it again with a longer --time"),
        );
    }
    let slurm = Slurm::find(&Environment::of_process())?;
    let node = std::env::var("SLURMD_NODENAME").unwrap_or_else(|_| bf_core::host::name());
    // Slurm that does not answer now leaves us without a reason, and no worse.
    let nodes = slurm.nodes().ok()?;
    let own = nodes.iter().find(|own| own.name == node)?;
    // A node that is drained lets its jobs come to their end.
    (own.state == "down" || own.state == "fail").then(|| {
        End::new(Cause::Unknown, format!("the node {node} went down"))
            .with_hint("start it again: it goes to another node")
    })
}
