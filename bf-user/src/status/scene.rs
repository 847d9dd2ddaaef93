//! What is looked at once, however many services there are: the file server's clock, and Slurm's queue.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bf_core::report::Failure;
use bf_core::settings::Environment;
use bf_core::slurm::{QueuedJob, Slurm, SlurmError};
use tokio::sync::Mutex;

use super::Clock;
use super::slurm::is_of;
use crate::store::Record;

/// Who looks again and again asks Slurm no more often: a controller serves thousands.
const QUEUE_PERIOD: Duration = Duration::from_secs(5);

/// The user's jobs, or why Slurm did not tell.
pub(super) type Queue = Arc<Result<Vec<QueuedJob>, Failure>>;

/// One look at all services, or the same again a moment later.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    home_dir: PathBuf,
    clock: Clock,
    slurm: Option<Slurm>,
    queue: Arc<Mutex<Option<(Instant, Queue)>>>,
}

impl Scene {
    /// For the services of `home_dir`. Slurm is asked only if one of them needs it.
    pub(crate) fn of(home_dir: &Path) -> Self {
        Self {
            home_dir: home_dir.to_owned(),
            clock: Clock::of(home_dir),
            slurm: Slurm::find(&Environment::of_process()),
            queue: Arc::default(),
        }
    }

    /// The same, now. What Slurm said a moment ago still holds.
    pub(crate) fn again(&self) -> Self {
        Self { clock: Clock::of(&self.home_dir), ..self.clone() }
    }

    /// The same, with nothing of what Slurm said before.
    pub(crate) fn anew(&self) -> Self {
        Self { queue: Arc::default(), ..self.again() }
    }

    /// The same, with a queue that was not asked for.
    #[cfg(test)]
    pub(super) fn with_queue(self, jobs: Result<Vec<QueuedJob>, Failure>) -> Self {
        Self { queue: Arc::new(Mutex::new(Some((Instant::now(), Arc::new(jobs))))), ..self }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The job of a service that Slurm has in its queue: waiting, running or ending.
    pub(crate) async fn job_of(&self, record: &Record) -> Result<Option<QueuedJob>, Failure> {
        let queue = self.queue().await;
        let jobs = queue.as_ref().as_ref().map_err(Clone::clone)?;
        let own = jobs.iter().find(|job| is_of(job, &record.id) && !job.state.is_over());
        Ok(own.cloned())
    }

    /// Slurm's commands.
    pub(crate) fn slurm(&self) -> Result<Slurm, Failure> {
        self.slurm.clone().ok_or_else(|| SlurmError::Missing { program: "squeue" }.into())
    }

    /// The user's jobs, those included that ended a moment ago. Asked for once, whoever asks.
    pub(super) async fn queue(&self) -> Queue {
        let mut queue = self.queue.lock().await;
        if let Some((at, known)) = queue.as_ref()
            && at.elapsed() < QUEUE_PERIOD
        {
            return Arc::clone(known);
        }
        let asked = match self.slurm() {
            Ok(slurm) => {
                let task = tokio::task::spawn_blocking(move || slurm.queue(&bf_core::host::user()));
                task.await.map_err(std::io::Error::other).map_err(Failure::from).and_then(|said| Ok(said?))
            }
            Err(failure) => Err(failure),
        };
        let asked = Arc::new(asked);
        *queue = Some((Instant::now(), Arc::clone(&asked)));
        asked
    }
}
