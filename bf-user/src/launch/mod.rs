//! From a wish (a model, a tier) to a running job: resolves everything first, so that what cannot work is refused in a sentence.

mod engine;
mod local;
mod plan;
mod program;
mod rules;
mod slurm;
mod stop;

pub(crate) use engine::Fetch;
#[cfg(test)]
pub(crate) use engine::resolved;
pub(crate) use local::detach;
pub(crate) use plan::{Plan, Wish, find_model, gb, open_cache, own_models, roots};
pub(crate) use rules::check_number;
pub(crate) use stop::{remove_left, stop};

use bf_core::report::Failure;
use bf_core::slurm::Slurm;

use crate::job::{JobDir, Key, Scheduler};

/// The job script.
pub(crate) fn script(plan: &Plan, dir: &JobDir) -> Result<String, Failure> {
    match plan.job.scheduler {
        Scheduler::Local => local::script(plan, dir),
        Scheduler::Slurm => slurm::script(plan, dir),
    }
}

/// What stands in the way of this job where it is to run, as far as that can be known before it is made.
pub(crate) fn check(plan: &Plan, scheduler: Option<&Slurm>) -> Result<(), Failure> {
    match scheduler {
        Some(scheduler) => slurm::check(plan, scheduler),
        None => local::check(plan),
    }
}

/// Writes the job directory and hands the job over. Returns the id that the scheduler, or this machine, knows it by.
pub(crate) fn start(
    plan: &Plan,
    wish: &Wish,
    dir: &JobDir,
    scheduler: Option<&Slurm>,
) -> Result<String, Failure> {
    let script = script(plan, dir)?;
    dir.create()?;
    let key = wish.key.clone().map_or_else(Key::random, Ok)?;
    dir.write_bytes("key", key.text().as_bytes(), 0o600)?;
    dir.write("job.json", &plan.job)?;
    dir.write_bytes("run.sh", script.as_bytes(), 0o700)?;
    match scheduler {
        Some(scheduler) => slurm::start(dir, scheduler),
        None => local::start(dir),
    }
}
