//! The states of a job.

use std::fmt;

/// The state of a job, as Slurm sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waits in the queue.
    Pending,
    /// Has nodes, which are being made ready for it.
    Configuring,
    /// Runs.
    Running,
    /// Its processes are ending, or its nodes are being cleaned up.
    Completing,
    /// Was suspended; its memory and nodes are kept.
    Suspended,
    /// Was stopped with a signal and keeps its nodes.
    Stopped,
    /// Gets more or fewer nodes.
    Resizing,
    /// Is being signalled.
    Signaling,
    /// Its data is being moved after its end.
    StageOut,
    /// Goes back to the queue.
    Requeued,
    /// Goes back to the queue of its federation.
    RequeuedFederation,
    /// Went back to the queue and is held there.
    RequeuedHeld,
    /// Went back to the queue after an exit code that the site treats specially, and is held there.
    SpecialExit,
    /// Is held because its reservation was deleted.
    ReservationDeleted,
    /// Ended with exit code 0.
    Completed,
    /// Was cancelled by a person.
    Cancelled,
    /// Ended with another exit code than 0.
    Failed,
    /// Reached its time limit.
    Timeout,
    /// A node of it failed.
    NodeFail,
    /// Used more memory than it asked for.
    OutOfMemory,
    /// Gave way to a job of higher priority.
    Preempted,
    /// Reached the time by which it had to be done.
    Deadline,
    /// Its nodes could not be started.
    BootFail,
    /// A cluster of the same federation runs it instead.
    Revoked,
    /// A state that this version does not know, as Slurm wrote it. Neither over nor waiting: nobody may end a job because of it.
    Unknown(String),
}

/// Each state with its name and its short name.
const STATES: [(JobState, &str, &str); 24] = [
    (JobState::Pending, "PENDING", "PD"),
    (JobState::Configuring, "CONFIGURING", "CF"),
    (JobState::Running, "RUNNING", "R"),
    (JobState::Completing, "COMPLETING", "CG"),
    (JobState::Suspended, "SUSPENDED", "S"),
    (JobState::Stopped, "STOPPED", "ST"),
    (JobState::Resizing, "RESIZING", "RS"),
    (JobState::Signaling, "SIGNALING", "SI"),
    (JobState::StageOut, "STAGE_OUT", "SO"),
    (JobState::Requeued, "REQUEUED", "RQ"),
    (JobState::RequeuedFederation, "REQUEUE_FED", "RF"),
    (JobState::RequeuedHeld, "REQUEUE_HOLD", "RH"),
    (JobState::SpecialExit, "SPECIAL_EXIT", "SE"),
    (JobState::ReservationDeleted, "RESV_DEL_HOLD", "RD"),
    (JobState::Completed, "COMPLETED", "CD"),
    (JobState::Cancelled, "CANCELLED", "CA"),
    (JobState::Failed, "FAILED", "F"),
    (JobState::Timeout, "TIMEOUT", "TO"),
    (JobState::NodeFail, "NODE_FAIL", "NF"),
    (JobState::OutOfMemory, "OUT_OF_MEMORY", "OOM"),
    (JobState::Preempted, "PREEMPTED", "PR"),
    (JobState::Deadline, "DEADLINE", "DL"),
    (JobState::BootFail, "BOOT_FAIL", "BF"),
    (JobState::Revoked, "REVOKED", "RV"),
];

impl JobState {
    /// Reads a state from any of Slurm's commands: `RUNNING`, `R`, `CANCELLED by 1000`, `CANCELLED+`.
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        let word = text.split_once(' ').map_or(text, |(word, _)| word).trim_end_matches('+');
        let named = |(_, name, short): &&(Self, &str, &str)| *name == word || *short == word;
        STATES
            .iter()
            .find(named)
            .map_or_else(|| Self::Unknown(text.to_owned()), |(state, _, _)| state.clone())
    }

    /// Slurm's full name of it.
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown(text) => text,
            known => STATES.iter().find(|(state, _, _)| state == known).map_or("", |(_, name, _)| name),
        }
    }

    /// Whether the job has ended and will not begin again by itself under this id.
    pub fn is_over(&self) -> bool {
        matches!(
            self,
            Self::Completed
                | Self::Cancelled
                | Self::Failed
                | Self::Timeout
                | Self::NodeFail
                | Self::OutOfMemory
                | Self::Preempted
                | Self::Deadline
                | Self::BootFail
                | Self::Revoked
        )
    }

    /// Whether the job has not begun to run: it is in the queue, held there, or its nodes are being made ready.
    pub fn is_waiting(&self) -> bool {
        matches!(
            self,
            Self::Pending
                | Self::Configuring
                | Self::Requeued
                | Self::RequeuedFederation
                | Self::RequeuedHeld
                | Self::SpecialExit
                | Self::ReservationDeleted
        )
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_and_short_names_mean_the_same() {
        for (state, name, short) in &STATES {
            assert_eq!(&JobState::read(name), state);
            assert_eq!(&JobState::read(short), state);
            assert_eq!(state.name(), *name);
            assert!(!(state.is_over() && state.is_waiting()), "{name}");
        }
        assert_eq!(JobState::read("CANCELLED by 2001"), JobState::Cancelled);
        assert_eq!(JobState::read("CANCELLED+"), JobState::Cancelled);
        assert_eq!(JobState::read(" TIMEOUT "), JobState::Timeout);
    }

    #[test]
    fn an_unknown_state_decides_nothing() {
        for text in ["", "HIBERNATING", "running", "CANCELLEDX", "COMPLETED,FAILED", "+"] {
            let state = JobState::read(text);
            assert_eq!(state, JobState::Unknown(text.into()));
            assert_eq!(state.to_string(), text);
            assert!(!state.is_over() && !state.is_waiting(), "{text}");
        }
    }
}
