//! Writes `state.json` every 2 s, and at once when the phase changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::life::{Call, Life};
use crate::job::JobDir;

const PERIOD: Duration = Duration::from_secs(2);
/// So many beats in a row without a folder to write into: it was removed, and not just away for a moment.
const GONE: u32 = 3;

/// The running heartbeat.
pub(super) struct Heart {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Writes the first one, so that a job that cannot write its folder fails at once, and goes on.
pub(super) fn start(dir: JobDir, life: Arc<Life>) -> std::io::Result<Heart> {
    dir.write_state(&life.state())?;
    let (stop, mut stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut phases = life.phases();
        let mut missed = 0;
        loop {
            let last = tokio::select! {
                _ = &mut stopped => true,
                () = tokio::time::sleep(PERIOD) => false,
                _ = phases.changed() => false,
            };
            // On a shared filesystem that hangs, only this blocking thread hangs. A write that fails is tried again at the
            // next beat: a full disk must not end a service.
            let (folder, state) = (dir.clone(), life.state());
            let beat = move || (folder.write_state(&state), folder.is_asked_to_stop());
            let Ok((written, asked)) = tokio::task::spawn_blocking(beat).await else { continue };
            let gone = written.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
            missed = if gone { missed + 1 } else { 0 };
            if missed >= GONE {
                life.call(Call::Abandoned);
            }
            if asked {
                life.call(Call::Asked);
            }
            if last {
                return;
            }
        }
    });
    Ok(Heart { stop, task })
}

impl Heart {
    /// Writes the last state and ends.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(PERIOD, self.task).await;
    }
}
