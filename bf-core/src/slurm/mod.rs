//! Slurm: submits, watches and ends jobs, and asks what the cluster offers.
//!
//! [`Slurm`] runs `sbatch`, `squeue`, `scontrol`, `sacct`, `scancel` and `sinfo` of this host, each with an environment of its own,
//! within a time limit, and reads what they print into types. What they print is pinned by fixtures of real versions in
//! `tests/fixtures/slurm`. Names and comments of jobs are other users' text: nothing here trusts them.

mod accounting;
mod client;
mod comment;
mod config;
mod directive;
mod error;
mod id;
mod job;
mod node;
mod partition;
mod program;
mod queue;
mod reason;
mod refusal;
mod state;
mod time;

#[cfg(test)]
mod tests;

pub use client::Slurm;
pub use comment::Comment;
pub use directive::Directive;
pub use error::SlurmError;
pub use id::JobId;
pub use job::JobFacts;
pub use node::{Gres, NodeFacts};
pub use partition::{PartitionFacts, PartitionState};
pub use queue::QueuedJob;
pub use reason::{Explained, explain};
pub use refusal::Refusal;
pub use state::JobState;
