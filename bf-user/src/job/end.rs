//! Ends that the supervisor and the command line both come to know, in the same words.

use super::{Cause, End};

impl End {
    /// Somebody wished it by means of bf-user.
    pub(crate) fn as_asked() -> Self {
        Self::new(Cause::Stopped, "stopped as asked")
    }

    /// Somebody cancelled the job by other means.
    pub(crate) fn cancelled() -> Self {
        Self::new(Cause::Stopped, "its job was cancelled")
    }

    /// A signal ended it, and nothing tells why; mostly it was cancelled.
    pub(crate) fn signalled() -> Self {
        Self { sure: false, ..Self::cancelled() }
    }

    /// Its time limit was reached.
    pub(crate) fn time_is_up() -> Self {
        Self::new(Cause::Walltime, "its time was up").with_hint("start it again with a longer --time")
    }

    /// Another job took its place.
    pub(crate) fn preempted() -> Self {
        Self::new(Cause::Unknown, "it had to make way for a job of higher priority")
            .with_hint("start it again, in another partition if there is one")
    }

    /// Its node failed. `node`: its name, or several as Slurm writes them.
    pub(crate) fn node_down(node: &str) -> Self {
        Self::new(Cause::Unknown, format!("the node {node} went down"))
            .with_hint("start it again: Slurm looks for another node")
    }

    /// Slurm no longer knows that it runs.
    pub(crate) fn orphaned() -> Self {
        Self::new(Cause::Unknown, "Slurm lost its job: the process it had started is gone")
            .with_hint("start it again; an administrator may know more")
    }
}
