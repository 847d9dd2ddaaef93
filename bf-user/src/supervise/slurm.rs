//! What a job of Slurm knows of itself, from inside.

use std::time::{Duration, SystemTime};

use bf_core::settings::Environment;
use bf_core::slurm::{JobFacts, JobId, Slurm};

#[cfg(test)]
use crate::job::Cause;
use crate::job::End;

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

/// The time that is left where the job has been given more since it began.
pub(super) fn more_time() -> Option<Duration> {
    let end = facts()?.end?;
    let left = jiff::Timestamp::now().until(end).ok()?.total(jiff::Unit::Second).ok()?;
    let left = Duration::try_from_secs_f64(left).ok()?.checked_sub(MARGIN)?;
    (left > MARGIN).then_some(left)
}

/// Why Slurm ends this job. While a job completes, Slurm shows no other state than that; what tells is the time, whether it had to make
/// way, and the node.
pub(super) fn why_stopped() -> End {
    let known = facts().and_then(|facts| of_facts(&facts, jiff::Timestamp::now())).or_else(of_node);
    known.unwrap_or_else(End::signalled)
}

fn of_facts(facts: &JobFacts, now: jiff::Timestamp) -> Option<End> {
    if facts.preempted.is_some() {
        return Some(End::preempted());
    }
    let ran = now.as_second() - facts.start?.as_second();
    let limit = i64::try_from(facts.time_limit?).ok()?;
    (ran + 1 >= limit).then(End::time_is_up)
}

fn of_node() -> Option<End> {
    let node = std::env::var("SLURMD_NODENAME").unwrap_or_else(|_| bf_core::host::name());
    // Slurm that does not answer now leaves us without a reason, and no worse.
    let nodes = slurm()?.nodes().ok()?;
    let own = nodes.iter().find(|own| own.name == node)?;
    // A node that is drained lets its jobs come to their end.
    (own.state == "down" || own.state == "fail").then(|| End::node_down(&node))
}

/// What the controller knows of this job now.
fn facts() -> Option<JobFacts> {
    slurm()?.job(&own_job()?).ok()?
}

/// Slurm, which must answer soon: the job is about to be killed.
fn slurm() -> Option<Slurm> {
    Some(Slurm::find(&Environment::of_process())?.with_time_limit(Duration::from_secs(3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slurm_knows_tells_why() {
        let facts = |limit, preempted: Option<&str>| JobFacts {
            id: "1".parse().unwrap(),
            state: bf_core::slurm::JobState::Completing,
            reason: None,
            exit_code: None,
            signal: None,
            cancelled_by: None,
            partition: None,
            node_list: None,
            time_limit: limit,
            preempted: preempted.map(|time| time.parse().unwrap()),
            start: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            end: None,
            comment: None,
        };
        let cause = |facts: JobFacts, now: &str| of_facts(&facts, now.parse().unwrap()).map(|end| end.cause);
        assert_eq!(cause(facts(Some(60), None), "2026-01-01T00:01:00Z"), Some(Cause::Walltime));
        assert_eq!(cause(facts(Some(3600), None), "2026-01-01T00:01:00Z"), None);
        assert_eq!(cause(facts(None, None), "2026-01-09T00:00:00Z"), None);
        let preempted = facts(Some(3600), Some("2026-01-01T00:00:30Z"));
        assert_eq!(cause(preempted, "2026-01-01T00:01:00Z"), Some(Cause::Unknown));
    }
}
