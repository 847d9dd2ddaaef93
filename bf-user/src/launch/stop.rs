//! Ends a service's job.

use std::time::{Duration, Instant};

use bf_core::report::{Exit, Failure};
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

/// Cancels the job, and waits until its supervisor has said that it ended, or Slurm has.
async fn by_slurm(record: &Record, dir: &JobDir, scene: &Scene) -> Result<bool, Failure> {
    if !status::derive(record, scene, false).await?.state.is_live() {
        return Ok(false);
    }
    let job = scene.job_of(record, dir).await?.ok_or_else(|| {
        Failure::new(
            Exit::Busy,
            "job_unknown",
            format!("Slurm has not told yet which job {} is", record.name),
        )
        .with_hint("try again in a moment")
    })?;
    let slurm = scene.slurm()?;
    let cancelled = job.clone();
    tokio::task::spawn_blocking(move || slurm.cancel(&cancelled)).await.map_err(std::io::Error::other)??;
    let deadline = Instant::now() + SLURM_PATIENCE;
    let mut asked = Instant::now();
    while Instant::now() < deadline {
        if dir.end()?.is_some() {
            return Ok(true);
        }
        // A job that had not begun has no supervisor that could say anything: Slurm does.
        if asked.elapsed() >= SLURM_PERIOD {
            if scene.anew().is_over(&job).await? {
                dir.write_end(&End::new(Cause::Stopped, "stopped as asked"))?;
                return Ok(true);
            }
            asked = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(true)
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
