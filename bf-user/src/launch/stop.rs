//! Ends a job without a scheduler.

use std::time::{Duration, Instant};

use bf_core::report::{Exit, Failure};
use nix::sys::signal::Signal;

use crate::job::{Cause, End, JobDir, Liveness, LocalJob};
use crate::supervise;

/// The supervisor gives the engine 10 s; then it ends within a moment.
const PATIENCE: Duration = Duration::from_secs(20);
/// After a kill, the guardian ends the engine.
const GUARDIAN_PATIENCE: Duration = Duration::from_secs(20);
const PERIOD: Duration = Duration::from_millis(20);

/// Asks the supervisor of a job to end, and kills it if it does not. Tells whether it was alive.
pub(crate) fn stop(dir: &JobDir) -> Result<bool, Failure> {
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
