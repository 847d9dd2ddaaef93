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
    let Some(local) = dir.local()? else { return Ok(false) };
    match local.liveness()? {
        Liveness::Gone => {
            remove_left(dir)?;
            return Ok(false);
        }
        Liveness::Elsewhere => {
            let message = format!("it runs on {}, and can be stopped only there", local.host);
            return Err(Failure::new(Exit::Unreachable, "other_host", message)
                .with_hint(format!("log in to {} and stop it there", local.host)));
        }
        Liveness::Alive => {}
    }
    local.signal(Signal::SIGTERM)?;
    if !gone_within(&local, PATIENCE)? {
        local.signal(Signal::SIGKILL)?;
        // The guardian writes the end when all of the engine is gone.
        let deadline = Instant::now() + GUARDIAN_PATIENCE;
        while dir.end()?.is_none() && Instant::now() < deadline {
            std::thread::sleep(PERIOD);
        }
    }
    if local.liveness()? == Liveness::Gone {
        remove_left(dir)?;
        // One that had not come so far as to write it itself.
        dir.write_end(&End::new(Cause::Stopped, "stopped before it had started"))?;
    }
    Ok(true)
}

/// Removes the engine's folder of a job whose supervisor and guardian were both killed.
pub(crate) fn remove_left(dir: &JobDir) -> Result<(), Failure> {
    match dir.work()? {
        Some(work) => Ok(supervise::remove_left(&work)?),
        None => Ok(()),
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
