//! What a service is doing: derived from what its job left and from whether it lives, never guessed from the text of a log.
//!
//! In this order: `end.json` > is the process there, or what Slurm says of the job > a fresh `state.json` and a challenge that
//! the listener passes > failed, ended without a report.

mod age;
mod scene;
mod slurm;

use bf_core::report::Failure;
use serde::Serialize;

use crate::client::Connection;
use crate::job::{Cause, End, JobDir, Liveness, Phase, Scheduler, State};
use crate::store::Record;

use age::Clock;
pub(crate) use scene::Scene;

/// A heartbeat older than this, in seconds, is no sign of life: it is written every 2 s.
const STALE: f64 = 15.0;
/// A job whose process is not recorded may be so young, in seconds.
const LAUNCH: f64 = 10.0;

/// Upstream's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServiceState {
    /// Handed over.
    Submitted,
    /// It waits for its turn.
    Pending,
    /// It runs, the model does not answer yet.
    Starting,
    /// The model answers.
    Healthy,
    /// It runs and does not answer as it should.
    Unhealthy,
    /// Ended as asked.
    Stopped,
    /// Its time was up.
    Timeout,
    /// Ended otherwise.
    Failed,
}

impl ServiceState {
    /// As in the JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Stopped => "stopped",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }

    /// Whether there is something to stop.
    pub(crate) fn is_live(self) -> bool {
        matches!(self, Self::Submitted | Self::Pending | Self::Starting | Self::Healthy | Self::Unhealthy)
    }
}

/// A service's state with its reason.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Status {
    pub(crate) state: ServiceState,
    /// What the supervisor is doing, while it lives.
    pub(crate) phase: Option<Phase>,
    /// Why it is in this state, in words.
    pub(crate) reason: Option<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// The last heartbeat.
    pub(crate) heartbeat: Option<State>,
    /// How it ended.
    pub(crate) end: Option<End>,
}

impl Status {
    fn new(state: ServiceState) -> Self {
        Self { state, phase: None, reason: None, hint: None, heartbeat: None, end: None }
    }

    /// The state of a service whose job directory cannot be understood.
    pub(crate) fn unclear(failure: Failure) -> Self {
        Self { hint: failure.hint, ..Self::new(ServiceState::Unhealthy) }.because(failure.message)
    }

    fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// Derives the state of one service. `challenge` asks a ready service to prove that it is there.
pub(crate) async fn derive(record: &Record, scene: &Scene, challenge: bool) -> Result<Status, Failure> {
    let clock = scene.clock();
    let dir = JobDir::of(record.home_dir.as_ref(), &record.id);
    let damaged = match dir.end() {
        Ok(Some(end)) if end.sure => return Ok(ended(end)),
        Ok(Some(end)) => return Ok(slurm::confirmed(end, record, &dir, scene).await),
        Ok(None) => None,
        Err(failure) => Some(failure),
    };
    if record.scheduler == Scheduler::Slurm.name() {
        return slurm::derive(record, &dir, damaged, scene, challenge).await;
    }
    if !dir.path().is_dir() {
        return Ok(Status::new(ServiceState::Failed).because("its job directory is gone"));
    }
    let Some(local) = dir.local()? else {
        if let Some(failure) = damaged {
            return Ok(Status::new(ServiceState::Failed).because(failure.message));
        }
        let begun = clock.age(&dir.job_file()).or_else(|| clock.age(dir.path()));
        let young = begun.is_some_and(|age| age < LAUNCH);
        return Ok(if young {
            Status::new(ServiceState::Submitted)
        } else {
            Status::new(ServiceState::Failed).because("it was never started")
        });
    };
    let liveness = local.liveness()?;
    // One that is damaged is written anew within 2 s, or its age tells.
    let heartbeat = dir.state().unwrap_or_default();
    let age = clock.age(&dir.state_file());
    let mut status = match (liveness, heartbeat) {
        (Liveness::Gone, _) => match (dir.end(), damaged) {
            (Ok(Some(end)), _) => return Ok(ended(end)), // it ended while we looked
            (_, Some(failure)) => lost(&record.name).because(failure.message),
            _ => lost(&record.name),
        },
        (Liveness::Elsewhere, heartbeat) if age.is_none_or(|age| age > STALE) => {
            Status { heartbeat, ..lost(&record.name) }
        }
        (_, None) => Status::new(ServiceState::Starting),
        (_, Some(heartbeat)) => living(heartbeat, age),
    };
    if status.state == ServiceState::Healthy {
        if liveness == Liveness::Elsewhere {
            status = status.because(format!("it runs on {}, and can be reached only there", local.host));
        } else if challenge {
            status = challenged(status, &dir).await;
        }
    }
    Ok(status)
}

/// A service that says it is ready must prove that it is the one.
async fn challenged(status: Status, dir: &JobDir) -> Status {
    match Connection::open(dir).await {
        Ok(_) => status,
        Err(failure) => {
            Status { state: ServiceState::Unhealthy, hint: failure.hint, ..status }.because(failure.message)
        }
    }
}

/// The state of a job that has said why it ended.
fn ended(end: End) -> Status {
    let state = match end.cause {
        Cause::Stopped | Cause::Idle => ServiceState::Stopped,
        Cause::Walltime => ServiceState::Timeout,
        _ => ServiceState::Failed,
    };
    Status { hint: end.hint.clone(), end: Some(end.clone()), ..Status::new(state) }.because(end.message)
}

/// The state of a job that is gone and has said nothing.
fn lost(name: &str) -> Status {
    let hint = format!("`bf-user logs {name}` shows what was before; the node may have been restarted");
    Status { hint: Some(hint), ..Status::new(ServiceState::Failed) }.because("ended without a report")
}

/// The state of a job that lives, by its last heartbeat, which is `age` seconds old.
fn living(heartbeat: State, age: Option<f64>) -> Status {
    let phase = heartbeat.phase;
    let state = match phase {
        Phase::Ready => ServiceState::Healthy,
        Phase::Draining | Phase::Ended => ServiceState::Unhealthy,
        _ => ServiceState::Starting,
    };
    let trouble = heartbeat.trouble.clone();
    let status = Status { phase: Some(phase), heartbeat: Some(heartbeat), ..Status::new(state) };
    match (age, trouble) {
        (Some(age), _) if age > STALE => Status { state: ServiceState::Unhealthy, ..status }
            .because(format!("no heartbeat for {age:.0} s: its process or its filesystem hangs")),
        (_, Some(trouble)) if state == ServiceState::Healthy => {
            Status { state: ServiceState::Unhealthy, ..status }.because(trouble)
        }
        (_, Some(trouble)) if state == ServiceState::Starting => status.because(trouble),
        _ if state == ServiceState::Unhealthy => status.because("it is stopping"),
        _ => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::LocalJob;

    #[test]
    fn a_living_job_is_judged_by_phase_age_and_trouble() {
        assert_eq!(living(State::example(Phase::Loading), Some(1.0)).state, ServiceState::Starting);
        assert_eq!(living(State::example(Phase::Ready), Some(1.0)).state, ServiceState::Healthy);
        assert_eq!(living(State::example(Phase::Ready), Some(60.0)).state, ServiceState::Unhealthy);
        assert_eq!(living(State::example(Phase::Loading), Some(60.0)).state, ServiceState::Unhealthy);
        let troubled = State { trouble: Some("ill".into()), ..State::example(Phase::Ready) };
        assert_eq!(living(troubled, Some(1.0)).reason.as_deref(), Some("ill"));
    }

    #[tokio::test]
    async fn what_the_job_left_decides() {
        let home = tempfile::tempdir().unwrap();
        let scene = Scene::of(home.path());
        let mut record = Record::example("aa110000000000000000000000000000");
        record.home_dir = home.path().to_str().unwrap().into();
        let dir = JobDir::of(home.path(), &record.id);
        let state = || async { derive(&record, &scene, false).await.unwrap() };
        assert_eq!(state().await.state, ServiceState::Failed, "no directory");
        dir.create().unwrap();
        assert_eq!(state().await.state, ServiceState::Submitted, "just made");

        let mut local = LocalJob::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        dir.write("local.json", &local).unwrap();
        dir.write("state.json", &State::example(Phase::Loading)).unwrap();
        assert_eq!(state().await.state, ServiceState::Starting);
        dir.write("state.json", &State::example(Phase::Ready)).unwrap();
        assert_eq!(state().await.state, ServiceState::Healthy);
        local.start_ticks += 1;
        dir.write("local.json", &local).unwrap();
        let gone = state().await;
        assert_eq!(
            (gone.state, gone.reason.as_deref()),
            (ServiceState::Failed, Some("ended without a report"))
        );
        dir.write_end(&End::new(Cause::Walltime, "its time was up")).unwrap();
        assert_eq!(state().await.state, ServiceState::Timeout);
    }
}
