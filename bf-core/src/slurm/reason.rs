//! Slurm's words for why a job waits or how it ended, in words that everybody understands.

/// What a reason means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained {
    /// A sentence without a full stop.
    pub message: &'static str,
    /// What to do about it, where there is something.
    pub hint: Option<&'static str>,
}

/// What a reason of `squeue`, `scontrol` or `sacct` means; `None` for one that this version does not know.
pub fn explain(reason: &str) -> Option<Explained> {
    let _ = reason;
    None
}
