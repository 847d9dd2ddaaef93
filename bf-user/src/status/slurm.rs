//! What a service that Slurm runs is doing: what its supervisor says while it can be heard, else what Slurm says.

use bf_core::report::Failure;
use bf_core::slurm::{Comment, JobFacts, JobId, JobState, QueuedJob, Slurm, SlurmError, explain};

use super::{LAUNCH, STALE, Scene, ServiceState, Status, challenged, ended, living, lost};
use crate::job::{Cause, End, JobDir, State};
use crate::store::Record;

/// Seconds that a job may run before its supervisor has said anything: the toolkit is read from a shared filesystem.
const QUIET: f64 = 60.0;

/// Derives the state of a service whose job has not said that it ended. `damaged`: why it could not be understood.
pub(super) async fn derive(
    record: &Record,
    dir: &JobDir,
    damaged: Option<Failure>,
    scene: &Scene,
    challenge: bool,
) -> Result<Status, Failure> {
    let heartbeat = dir.state().unwrap_or_default();
    let age = scene.clock().age(&dir.state_file());
    // A supervisor that was heard a moment ago knows best, and costs Slurm nothing.
    if let (Some(heartbeat), Some(age)) = (&heartbeat, age)
        && age <= STALE
    {
        let status = living(heartbeat.clone(), Some(age));
        let is_ready = status.state == ServiceState::Healthy;
        return Ok(if is_ready && challenge { challenged(status, dir).await } else { status });
    }
    let queue = scene.queue().await;
    let jobs = match queue.as_ref() {
        Ok(jobs) => jobs,
        Err(failure) => return Ok(unheard(record, heartbeat, failure)),
    };
    if let Some(job) = jobs.iter().find(|job| is_of(job, &record.id)) {
        return Ok(of_queued(job, dir, heartbeat, age, scene));
    }
    if let Some(failure) = damaged {
        return Ok(Status::new(ServiceState::Failed).because(failure.message));
    }
    if !dir.path().is_dir() {
        return Ok(Status::new(ServiceState::Failed).because("its job directory is gone"));
    }
    let known = dir.slurm().ok().flatten().map(|own| own.job);
    if let Some(job) = known.or_else(|| record.job_id.as_ref()?.parse().ok()) {
        return forgotten(job, record, dir, heartbeat, scene).await;
    }
    let begun = scene.clock().age(&dir.job_file()).or_else(|| scene.clock().age(dir.path()));
    let young = begun.is_some_and(|age| age < LAUNCH);
    Ok(if young {
        Status::new(ServiceState::Submitted)
    } else {
        Status::new(ServiceState::Failed).because("it was never handed to Slurm")
    })
}

/// Whether a job of the queue is that of the service. By its comment, and never by its number alone: numbers begin anew when a
/// controller loses its state, and two clusters that share a home have the same ones.
pub(super) fn is_of(job: &QueuedJob, service: &str) -> bool {
    is_ours(job.comment.as_ref(), service)
}

fn is_ours(comment: Option<&Comment>, service: &str) -> bool {
    comment.is_some_and(|comment| comment.svc.as_deref() == Some(service))
}

/// Slurm says nothing: then nothing new is known, least of all that the service ended.
fn unheard(record: &Record, heartbeat: Option<State>, failure: &Failure) -> Status {
    let state = match record.status.as_str() {
        "submitted" => ServiceState::Submitted,
        "pending" => ServiceState::Pending,
        "starting" => ServiceState::Starting,
        _ => ServiceState::Unhealthy,
    };
    let status = Status { heartbeat, hint: failure.hint.clone(), ..Status::new(state) };
    status.because(format!("nothing new is known: {}", failure.message))
}

fn of_queued(
    job: &QueuedJob,
    dir: &JobDir,
    heartbeat: Option<State>,
    age: Option<f64>,
    scene: &Scene,
) -> Status {
    let state = &job.state;
    if state.is_over() {
        let last =
            Last { state, reason: job.reason.as_deref(), nodes: job.node_list.as_deref(), exit_code: None };
        return over(last, &job.id, dir);
    }
    match state {
        JobState::Configuring => Status::new(ServiceState::Starting)
            .because(format!("Slurm makes {} ready for it", a_node(job.node_list.as_deref()))),
        waiting if waiting.is_waiting() => pending(job),
        JobState::Completing => {
            Status { heartbeat, ..Status::new(ServiceState::Unhealthy) }.because("it is ending")
        }
        JobState::Suspended | JobState::Stopped => {
            Status { heartbeat, ..Status::new(ServiceState::Unhealthy) }
                .because("Slurm has suspended it, and will go on with it later")
        }
        JobState::Unknown(name) => {
            Status { heartbeat, ..Status::new(ServiceState::Unhealthy) }.because(format!(
                "Slurm says {name:?} of its job, which this version does not know; nothing was done to it"
            ))
        }
        _ => match heartbeat {
            Some(heartbeat) => living(heartbeat, age),
            None => beginning(job, dir, scene),
        },
    }
}

/// A job that waits: why, and until when, as far as Slurm knows.
fn pending(job: &QueuedJob) -> Status {
    let reason = job.reason.as_deref().unwrap_or("None");
    let (words, hint) = match explain(reason) {
        Some(known) => (known.message.to_owned(), known.hint.map(str::to_owned)),
        None if reason == "None" => ("it waits for its turn".to_owned(), None),
        None => (format!("it waits; Slurm gives the reason {reason}"), None),
    };
    let start = job.start.and_then(expected).unwrap_or_default();
    Status { hint, ..Status::new(ServiceState::Pending) }.because(format!("{words}{start}"))
}

/// When Slurm expects a job to start, as far away as it is: nobody has to know whose clock that is.
fn expected(start: jiff::Timestamp) -> Option<String> {
    let minutes = (start.as_second() - jiff::Timestamp::now().as_second()).div_euclid(60) + 1;
    match minutes {
        ..1 => None,
        1..120 => Some(format!("; expected in about {minutes} min")),
        120..2880 => Some(format!("; expected in about {} hours", minutes / 60)),
        _ => Some(format!("; expected in about {} days", minutes / 1440)),
    }
}

/// A job that runs and has not been heard.
fn beginning(job: &QueuedJob, dir: &JobDir, scene: &Scene) -> Status {
    let status = Status::new(ServiceState::Starting);
    let node = a_node(job.node_list.as_deref());
    // Its output is opened when it begins.
    let since = scene.clock().age(&dir.slurm_log(&job.id));
    if since.is_some_and(|since| since > QUIET) {
        let hint = format!("look into {}", dir.slurm_log(&job.id).display());
        let status = Status { hint: Some(hint), ..Status::new(ServiceState::Unhealthy) };
        return status.because(format!("its job runs on {node}, but its supervisor has said nothing yet"));
    }
    status.because(format!("its job has begun on {node}"))
}

/// A job that the queue no longer has: its controller may still know it, and else the accounts.
async fn forgotten(
    job: JobId,
    record: &Record,
    dir: &JobDir,
    heartbeat: Option<State>,
    scene: &Scene,
) -> Result<Status, Failure> {
    let (slurm, id, own) = (scene.slurm()?, job.clone(), record.clone());
    let task = tokio::task::spawn_blocking(move || facts(&slurm, &id, &own));
    match task.await.map_err(std::io::Error::other)? {
        Ok(Some(facts)) if facts.state.is_over() => {
            let nodes = facts.node_list.as_deref();
            let reason = facts.reason.as_deref();
            Ok(over(Last { state: &facts.state, reason, nodes, exit_code: facts.exit_code }, &job, dir))
        }
        // It was not in the queue, and is not over: what Slurm says changes while we look.
        Ok(Some(facts)) => Ok(Status { heartbeat, ..Status::new(ServiceState::Unhealthy) }
            .because(format!("Slurm says {} of its job", facts.state))),
        Ok(None) => match dir.end() {
            Ok(Some(end)) => Ok(ended(end)), // it ended while we looked
            _ => Ok(Status { heartbeat, ..lost(&record.name) }),
        },
        Err(error) => Ok(unheard(record, heartbeat, &error.into())),
    }
}

/// What the controller, or else the accounts, know of the service's job; `None` where both have forgotten it, or mean another job.
fn facts(slurm: &Slurm, job: &JobId, record: &Record) -> Result<Option<JobFacts>, SlurmError> {
    if let Some(facts) = slurm.job(job)? {
        return Ok(Some(facts).filter(|facts| is_ours(facts.comment.as_ref(), &record.id)));
    }
    match slurm.accounted(std::slice::from_ref(job)) {
        // Accounts mostly keep no comments. They are of this user's jobs; an older one of that number is another.
        Ok(found) => Ok(found.into_iter().next().filter(|facts| is_younger(facts, record))),
        Err(SlurmError::NoAccounting { .. } | SlurmError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_younger(facts: &JobFacts, record: &Record) -> bool {
    let made = record.created_at.parse::<jiff::Timestamp>().ok();
    let seen = facts.start.or(facts.end);
    // Their clocks may differ a little.
    made.zip(seen).is_some_and(|(made, seen)| seen.as_second() + 60 >= made.as_second())
}

/// The state of a service whose supervisor saw a signal, and could not learn why: Slurm knows when the job is over, for some minutes.
pub(super) async fn confirmed(end: End, record: &Record, dir: &JobDir, scene: &Scene) -> Status {
    let queue = scene.queue().await;
    let Ok(jobs) = queue.as_ref() else { return ended(end) };
    let told = match jobs.iter().find(|job| is_of(job, &record.id)) {
        Some(job) if !job.state.is_over() => return ended(end),
        Some(job) if job.state != JobState::Cancelled => {
            let (reason, nodes) = (job.reason.as_deref(), job.node_list.as_deref());
            let last = Last { state: &job.state, reason, nodes, exit_code: None };
            End { ended_at: end.ended_at, ..end_of(&last, &job.id, dir) }
        }
        _ => End { sure: true, ..end },
    };
    // Where it cannot be written down it is asked again.
    let _ = dir.write("end.json", &told);
    ended(told)
}

/// The last that Slurm knows of a job.
#[derive(Clone, Copy)]
struct Last<'a> {
    state: &'a JobState,
    reason: Option<&'a str>,
    nodes: Option<&'a str>,
    exit_code: Option<i32>,
}

/// The state of a service whose job is over, and did not say why itself. Slurm forgets within minutes, so it is written down.
fn over(last: Last<'_>, job: &JobId, dir: &JobDir) -> Status {
    let own = || dir.end().ok().flatten();
    // The supervisor's own word may have arrived meanwhile, and comes first.
    if let Some(end) = own() {
        return ended(end);
    }
    let end = end_of(&last, job, dir);
    // Where it cannot be written down it is said all the same.
    let _ = dir.write_end(&end);
    ended(own().unwrap_or(end))
}

/// Puts into words how a job ended.
fn end_of(last: &Last<'_>, job: &JobId, dir: &JobDir) -> End {
    let node = a_node(last.nodes);
    let began = last.nodes.is_some();
    let output = dir.slurm_log(job);
    let look = format!("{} may tell more", output.display());
    let end = match last.state {
        JobState::Cancelled if dir.is_asked_to_stop() => End::as_asked(),
        JobState::Cancelled if began => End::cancelled(),
        JobState::Cancelled => End::new(Cause::Stopped, "its job was cancelled before it began"),
        JobState::Timeout | JobState::Deadline => End::time_is_up(),
        JobState::NodeFail | JobState::BootFail => End::node_down(last.nodes.unwrap_or("of its job")),
        JobState::OutOfMemory => {
            End::new(Cause::HostOom, format!("it needed more memory than it had on {node}"))
                .with_hint("try a tier with more memory, or --mem; `bf-user tier ls` lists the tiers")
        }
        JobState::Preempted => End::preempted(),
        JobState::Completed => End::new(Cause::Unknown, "its job ended without a report").with_hint(look),
        // A job that cannot open its own output sees no home.
        JobState::Failed if began && !output.exists() && dir.state().ok().flatten().is_none() => {
            let seen = dir.path().display();
            End::new(Cause::MissingFile, format!("{node} does not see {seen}"))
                .with_hint("use a home that all nodes share: BLACKFISH_HOME_DIR names it")
        }
        state => {
            let code = last.exit_code.map(|code| format!(" with exit code {code}")).unwrap_or_default();
            let said = last.reason.and_then(explain).map(|reason| format!(": {}", reason.message));
            let message = format!("its job ended{code} ({state}){}", said.unwrap_or_default());
            End::new(Cause::Unknown, message).with_hint(look)
        }
    };
    End { exit_code: last.exit_code, last_lines: JobDir::last_lines(&output).unwrap_or_default(), ..end }
}

/// The nodes of a job for a sentence.
fn a_node(nodes: Option<&str>) -> String {
    nodes.map_or_else(|| "a node".into(), |nodes| format!("the node {nodes}"))
}

#[cfg(test)]
mod tests;
