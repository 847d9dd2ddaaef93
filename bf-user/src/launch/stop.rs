//! Ends a service's job.

use std::time::{Duration, Instant};

use bf_core::report::{Exit, Failure};
use bf_core::slurm::JobState;
use nix::sys::signal::Signal;

use crate::job::{Cause, End, JobDir, Liveness, LocalJob, Scheduler};
use crate::status::{self, Scene};
use crate::store::Record;
use crate::supervise;

/// The supervisor gives the engine 10 s; then it ends within a moment.
const PATIENCE: Duration = Duration::from_secs(20);
/// After a kill, the guardian ends the engine.
const GUARDIAN_PATIENCE: Duration = Duration::from_secs(20);
const PERIOD: Duration = Duration::from_millis(20);
/// Slurm kills what has not ended by itself after its KillWait, which is 30 s unless a site says otherwise.
const SLURM_PATIENCE: Duration = Duration::from_mins(1);
/// A supervisor looks into its job directory every 2 s.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(15);
/// What is said where Slurm could not be told.
const TOLD: &str = "it is written down that it is to stop: it ends as soon as it begins or hears of it; try again when Slurm answers";
/// Between two questions whether Slurm has ended it.
const SLURM_PERIOD: Duration = Duration::from_secs(1);

/// Ends the job of a service. Tells whether there was something to end.
pub(crate) async fn stop(record: &Record, scene: &Scene) -> Result<bool, Failure> {
    let dir = JobDir::of(record.home_dir.as_ref(), &record.id);
    if record.scheduler == Scheduler::Slurm.name() {
        return by_slurm(record, &dir, scene).await;
    }
    tokio::task::spawn_blocking(move || here(&dir)).await.map_err(std::io::Error::other)?
}

/// Tells the supervisor in the job directory, and cancels the job; waits until the one has said that it ended, or Slurm has.
///
/// What Slurm has in its queue is cancelled whatever we believed of it; and a supervisor that Slurm no longer knows is told all the same.
async fn by_slurm(record: &Record, dir: &JobDir, scene: &Scene) -> Result<bool, Failure> {
    let live = status::derive(record, scene, false).await?.state.is_live();
    // One that was written down too early, by whom ever, must not keep the job alive.
    let had_end = dir.end().ok().flatten().is_some();
    let job = scene.anew().job_of(record).await;
    if !live && matches!(job, Ok(None)) {
        return Ok(false);
    }
    if dir.path().is_dir() {
        dir.ask_to_stop()?;
    }
    let trouble = match job {
        Ok(Some(job)) => {
            let slurm = scene.slurm()?;
            let task = tokio::task::spawn_blocking(move || slurm.cancel(&job.id));
            task.await.map_err(std::io::Error::other)?.err().map(Failure::from)
        }
        Ok(None) => None,
        Err(failure) => Some(failure),
    };
    let patience = if trouble.is_some() { HEARTBEAT_PATIENCE } else { SLURM_PATIENCE };
    let deadline = Instant::now() + patience;
    let mut asked = Instant::now();
    while Instant::now() < deadline {
        // A file that cannot be read says nothing; Slurm does.
        if !had_end && dir.end().ok().flatten().is_some() {
            return Ok(true);
        }
        // A job that had not begun has no supervisor that could say anything.
        if trouble.is_none() && asked.elapsed() >= SLURM_PERIOD {
            if gone(record, scene).await {
                if dir.path().is_dir() {
                    dir.write_end(&End::as_asked())?;
                }
                return Ok(true);
            }
            asked = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    match trouble {
        None => Ok(true),
        Some(failure) => Err(Failure { hint: Some(TOLD.into()), ..failure }),
    }
}

/// Whether Slurm no longer has the service's job in its queue, or only ends it.
async fn gone(record: &Record, scene: &Scene) -> bool {
    match scene.anew().job_of(record).await {
        Ok(job) => job.is_none_or(|job| job.state == JobState::Completing),
        Err(_) => false,
    }
}

/// Asks the supervisor of a job on this machine to end, and kills it if it does not. Tells whether it was alive.
fn here(dir: &JobDir) -> Result<bool, Failure> {
    let mut stopped = false;
    // A job script may have started the supervisor as a process of its own, which then writes down its own identity.
    while let Some(local) = dir.local()? {
        match local.liveness()? {
            Liveness::Gone => break,
            Liveness::Elsewhere => {
                let message = format!("it runs on {}, and can be stopped only there", local.host);
                return Err(Failure::new(Exit::Unreachable, "other_host", message)
                    .with_hint(format!("log in to {} and stop it there", local.host)));
            }
            Liveness::Alive => {
                end(&local, dir)?;
                stopped = true;
            }
        }
    }
    remove_left(dir)?;
    if stopped {
        // A supervisor that starts only now finds this, and ends at once.
        dir.write_end(&End::new(Cause::Stopped, "stopped before it had started"))?;
    }
    Ok(stopped)
}

fn end(local: &LocalJob, dir: &JobDir) -> Result<(), Failure> {
    local.signal(Signal::SIGTERM)?;
    if gone_within(local, PATIENCE)? {
        return Ok(());
    }
    // Before the guardian finds its supervisor killed and says so.
    dir.write_end(&End::new(Cause::Stopped, "killed, since it did not end when it was asked to"))?;
    local.signal(Signal::SIGKILL)?;
    gone_within(local, PATIENCE)?;
    // The guardian removes the engine's folder when all of the engine is gone.
    let deadline = Instant::now() + GUARDIAN_PATIENCE;
    while dir.work().ok().flatten().is_some_and(|work| work.path.exists()) && Instant::now() < deadline {
        std::thread::sleep(PERIOD);
    }
    Ok(())
}

/// Removes the engine's folder of a job whose supervisor and guardian were both killed.
pub(crate) fn remove_left(dir: &JobDir) -> Result<(), Failure> {
    // Where work.json is damaged nothing is known to be left.
    match dir.work() {
        Ok(Some(work)) => Ok(supervise::remove_left(&work)?),
        Ok(None) | Err(_) => Ok(()),
    }
}

fn gone_within(local: &LocalJob, patience: Duration) -> Result<bool, Failure> {
    let deadline = Instant::now() + patience;
    while local.liveness()? == Liveness::Alive {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(PERIOD);
    }
    Ok(true)
}
