//! Why Slurm says no, from what its commands write.

use crate::report::Exit;

/// What is at fault when Slurm refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The account, or the lack of one.
    Account,
    /// The partition.
    Partition,
    /// The quality of service.
    Qos,
    /// The reservation.
    Reservation,
    /// No node could ever give what is asked for.
    NodeConfiguration,
    /// More time than is allowed.
    TimeLimit,
    /// More jobs, or more at once, than are allowed.
    SubmitLimit,
    /// More than an account or QOS allows one job, however long it waits.
    JobSize,
    /// More memory than is allowed.
    Memory,
    /// The user may not do this.
    Permission,
    /// Something else.
    Other,
}

/// What Slurm says when a limit of an account or QOS is at fault. Which one it names in a line of its own.
const POLICY: &str = "job violates accounting/qos policy";

/// Parts of other messages, in the order in which they are looked for, without regard to case.
const SIGNS: [(&str, Refusal); 22] = [
    ("invalid account or account/partition combination", Refusal::Account),
    ("invalid account", Refusal::Account),
    ("account is not permitted", Refusal::Account),
    ("job's account not permitted", Refusal::Account),
    ("invalid partition", Refusal::Partition),
    ("no partition specified", Refusal::Partition),
    ("required partition not available", Refusal::Partition),
    ("invalid qos", Refusal::Qos),
    ("job's qos not permitted", Refusal::Qos),
    ("job request does not match any supported policy", Refusal::Qos),
    ("reservation", Refusal::Reservation),
    ("memory specification can not be satisfied", Refusal::Memory),
    ("memory required by task is not available", Refusal::Memory),
    ("time limit", Refusal::TimeLimit),
    ("node configuration is not available", Refusal::NodeConfiguration),
    ("node count specification invalid", Refusal::NodeConfiguration),
    ("invalid generic resource", Refusal::NodeConfiguration),
    ("invalid feature specification", Refusal::NodeConfiguration),
    ("invalid node name", Refusal::NodeConfiguration),
    ("more processors requested than permitted", Refusal::NodeConfiguration),
    ("access/permission denied", Refusal::Permission),
    ("user's group not permitted", Refusal::Permission),
];

impl Refusal {
    /// What is at fault, from a message of `sbatch` or `scancel`; `None` if it is not that Slurm said no.
    pub(super) fn of(message: &str) -> Option<Self> {
        let message = message.to_lowercase();
        if message.contains(POLICY) {
            return Some(policy(&message));
        }
        SIGNS.iter().find(|(sign, _)| message.contains(sign)).map(|(_, refusal)| *refusal)
    }

    /// The stable code: lower case, with underscores.
    pub fn code(self) -> &'static str {
        match self {
            Self::Account => "slurm_account_refused",
            Self::Partition => "slurm_partition_refused",
            Self::Qos => "slurm_qos_refused",
            Self::Reservation => "slurm_reservation_refused",
            Self::NodeConfiguration => "slurm_no_such_node",
            Self::TimeLimit => "slurm_time_limit_refused",
            Self::SubmitLimit => "slurm_submit_limit",
            Self::JobSize => "slurm_job_too_large",
            Self::Memory => "slurm_memory_refused",
            Self::Permission => "slurm_permission_denied",
            Self::Other => "slurm_refused",
        }
    }

    /// What to do about it.
    pub fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Account => {
                "name an account that you may use; `sacctmgr show associations user=$USER format=account,partition` lists them"
            }
            Self::Partition => "name a partition that you may use; `sinfo -s` lists them",
            Self::Qos => {
                "name another QOS, or none; `sacctmgr show associations user=$USER format=account,qos` lists yours"
            }
            Self::Reservation => "name another reservation, or none; `scontrol show reservation` lists them",
            Self::NodeConfiguration => {
                "no node of this partition has all that was asked for (cores, GPUs and their type, features): ask for less, or choose another tier; `sinfo -o '%P %c %m %G %f'` shows what there is"
            }
            Self::TimeLimit => "ask for less time; `sinfo -o '%P %l'` shows what each partition allows",
            Self::SubmitLimit => {
                "you have as many jobs as you may have, or asked for more than you may use: stop one or wait"
            }
            Self::JobSize => {
                "your account or QOS does not allow so much for one job: ask for less, or choose another tier"
            }
            Self::Memory => {
                "no node of this partition has so much memory: ask for less, or choose another tier"
            }
            Self::Permission => "ask the administrators of the cluster for access",
            Self::Other => return None,
        })
    }

    /// The exit code it leads to.
    pub fn exit(self) -> Exit {
        match self {
            Self::Account | Self::Partition | Self::Qos | Self::Reservation => Exit::NotFound,
            Self::NodeConfiguration | Self::TimeLimit | Self::Memory | Self::JobSize => Exit::Usage,
            Self::SubmitLimit => Exit::Busy,
            Self::Permission => Exit::Permission,
            Self::Other => Exit::Failed,
        }
    }
}

/// Which limit it is, from Slurm's name of it (`QOSMaxSubmitJobPerUserLimit`) in the line before.
fn policy(message: &str) -> Refusal {
    let names = message.split(POLICY).next().unwrap_or_default();
    let has = |part: &str| names.contains(part);
    if has("wallduration") || has("timelimit") {
        Refusal::TimeLimit
    } else if has("perjob") || has("pernode") || has("qosmin") {
        Refusal::JobSize
    } else {
        Refusal::SubmitLimit
    }
}
