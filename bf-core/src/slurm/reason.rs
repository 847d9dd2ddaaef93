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
///
/// ```
/// use bf_core::slurm::explain;
///
/// assert_eq!(explain("Priority").unwrap().message, "other jobs are ahead of it in the queue");
/// assert!(explain("ReqNodeNotAvail, UnavailableNodes:node[1-2]").is_some());
/// ```
pub fn explain(reason: &str) -> Option<Explained> {
    let reason = reason.trim().trim_start_matches('(').trim_end_matches(')');
    // `scontrol` writes blanks as underscores.
    let words = reason.replace('_', " ").to_lowercase();
    let sentence = SENTENCES.iter().find(|(start, ..)| words.starts_with(start));
    let (message, hint) = match sentence {
        Some((_, message, hint)) => (*message, *hint),
        None => word(reason.split([',', ':', ' ', '(']).next().unwrap_or_default())?,
    };
    Some(Explained { message, hint: (!hint.is_empty()).then_some(hint) })
}

/// A message and a hint; the hint is empty where there is nothing to do.
type Meaning = (&'static str, &'static str);

/// Reasons that are sentences: how they begin, in lower case.
const SENTENCES: [(&str, &str, &str); 8] = [
    (
        "nodes required for job are down",
        "the nodes it needs are out of order or kept for other jobs at the moment",
        "it begins when they are back; another partition or tier may be quicker",
    ),
    (
        "launch failed requeued held",
        "its node failed to start it, and Slurm keeps it from trying again",
        "stop it and run it again; tell the administrators of the cluster if that happens twice",
    ),
    ("job requeued in held state", "it went back to the queue and is held there", RELEASE),
    ("raisedsignal:53", NO_OUTPUT.0, NO_OUTPUT.1),
    ("job's account not permitted", NOT_YOURS, OTHER_PARTITION),
    ("job's qos not permitted", NOT_YOURS, OTHER_PARTITION),
    ("uid ", NOT_YOURS, OTHER_PARTITION),
    ("prolog", "its node is being made ready", ""),
];

const NOT_YOURS: &str =
    "you may not use its partition with this account, group or quality of service, so it will never begin";
const OTHER_PARTITION: &str =
    "stop it and run it again in another partition, or with an account that may use this one";
const RELEASE: &str = "`scontrol release JOB` lets it go on, or stop it and run it again";
const ASK: &str = "ask the administrators of the cluster";
const LESS_TIME: &str = "stop it and run it again with a shorter time";
const SMALLER: &str = "stop it and run it again with a smaller tier or another partition";
const STOP_ONE: &str = "it begins when others of yours end: stop one that you do not need";
const NO_OUTPUT: Meaning = (
    "Slurm could not create its output file",
    "check that its folder exists on the node, is yours, and that your quota is not used up",
);

/// What Slurm's single words mean. Limits have so many names that their parts are looked at ([`limit`]).
fn word(reason: &str) -> Option<Meaning> {
    Some(match reason {
        "Resources" => ("it is next in the queue and waits until what it asks for becomes free", ""),
        "Priority" => ("other jobs are ahead of it in the queue", ""),
        "SchedDefer" => ("Slurm has not looked at it yet", ""),
        "Dependency" => ("it waits for another job", ""),
        "DependencyNeverSatisfied" => {
            ("it waits for a job that did not end as it had to, so it will never begin", "stop it")
        }
        "BeginTime" => {
            ("it may not begin yet: its start time has not come, or it was put back after a failure", "")
        }
        "JobHeldUser" => ("you, or a program of yours, hold it back", RELEASE),
        "JobHeldAdmin" => ("an administrator holds it back, or it failed to start too often", ASK),
        "JobHoldMaxRequeue" => ("it went back to the queue too often and is held there", ASK),
        "PartitionTimeLimit" => {
            ("it asks for more time than its partition allows, so it will never begin", LESS_TIME)
        }
        "PartitionNodeLimit" => {
            ("it asks for more nodes than its partition allows, so it will never begin", SMALLER)
        }
        "PartitionDown" => {
            ("its partition starts no jobs at the moment", "wait, or choose another partition")
        }
        "PartitionInactive" => ("its partition is switched off", "choose another partition"),
        "PartitionConfig" => ("its partition cannot give what it asks for", SMALLER),
        "ReqNodeNotAvail" => (
            "the nodes it needs are out of order, or kept free for maintenance or a reservation",
            "a shorter time may let it run before the maintenance; another partition may be quicker",
        ),
        "NodeDown" | "SystemFailure" => ("a node that it needs or used has failed", "run it again"),
        "BadConstraints" => ("no node can ever give what it asks for", SMALLER),
        "Licenses" => ("it waits for a licence that others use at the moment", ""),
        "NvidiaImexChannels"
        | "MpiPortsBusy"
        | "FrontEndDown"
        | "BurstBufferResources"
        | "BurstBufferStageIn" => ("something that it needs besides nodes is not free yet", ""),
        "BurstBufferOperation" => ("moving its data failed", ASK),
        "Reservation" => ("it waits for its reservation to begin", ""),
        "ReservationDeleted" | "ReservationInvalid" => {
            ("its reservation does not exist any more", "stop it and run it again without the reservation")
        }
        "JobArrayTaskLimit" => ("as many parts of it run at once as it allows itself", ""),
        "InvalidAccount" | "AccountNotAllowed" => {
            ("it may not use its account here", "stop it and run it again with another account")
        }
        "InvalidQOS" | "QOSNotAllowed" => {
            ("it may not use its quality of service here", "stop it and run it again with another QOS")
        }
        "QOSUsageThreshold" | "AccountingPolicy" => ("its account has used up what it may use for now", ASK),
        "MaxMemPerLimit" => ("it asks for more memory than is allowed", SMALLER),
        "MaxPoweredUpNodes" => ("as many nodes are switched on as the site allows", ""),
        "FedJobLock" => ("another cluster is looking whether it can run it", ""),
        "Cleaning" => ("its earlier run is still being cleaned up", ""),
        // Older versions say so of every job that a signal ended.
        "JobLaunchFailure" => (
            "its node failed to start it, or it crashed",
            "its log says which; without a log, check that the folder of its output exists on the node",
        ),
        "NonZeroExitCode" => ("its script ended with an error", "its log says which"),
        "RaisedSignal" => ("a signal ended it, which is mostly a crash", "its log says which"),
        "TimeLimit" => ("its time was over", "run it again with a longer time"),
        "OutOfMemory" => ("it used more memory than it asked for", "run it again with a larger tier"),
        "InactiveLimit" => ("Slurm ended it because it did nothing", ""),
        "DeadLine" => ("it could not be done by the time it was given", ""),
        _ => return limit(reason),
    })
}

/// A limit of an account or a quality of service: whose it is and of what is in the parts of its name.
fn limit(reason: &str) -> Option<Meaning> {
    let owners = [
        "QOS",
        "Assoc",
        "Association",
        "MaxBB",
        "MaxBilling",
        "MaxCpu",
        "MaxEnergy",
        "MaxGRES",
        "MaxJobs",
        "MaxLicense",
    ];
    let more = ["MaxMemory", "MaxNode", "MaxSubmit", "MaxUnknown"];
    if !owners.iter().chain(&more).any(|start| reason.starts_with(start)) {
        return None;
    }
    let has = |part: &str| reason.contains(part);
    Some(if has("Min") && !has("Minutes") && !has("RunMin") {
        (
            "it asks for less than its quality of service demands",
            "stop it and run it again with a larger tier or another QOS",
        )
    } else if has("WallDuration") || has("TimeLimit") {
        ("it asks for more time than your account or quality of service allows", LESS_TIME)
    } else if has("PerJob") || has("PerNode") {
        ("it asks for more than your account or quality of service allows one job", SMALLER)
    } else if has("Minutes") || has("RunMin") || has("Wall") {
        (
            "your group has used up its share of computing time for now",
            "wait until some of it comes back, or use another account",
        )
    } else if has("Grp") || has("PerAccount") {
        (
            "your group uses as much as it may use at once",
            "it begins when other jobs of the group end, or use another account",
        )
    } else {
        ("you use as much as you may use at once", STOP_ONE)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(reason: &str) -> &'static str {
        explain(reason).unwrap_or_else(|| panic!("{reason} is not explained")).message
    }

    #[test]
    fn the_same_reason_is_understood_from_every_command() {
        let nodes = "the nodes it needs are out of order or kept for other jobs at the moment";
        for reason in [
            "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
            "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions",
        ] {
            assert_eq!(message(reason), nodes);
        }
        assert_eq!(
            message("(ReqNodeNotAvail, UnavailableNodes:n1)"),
            message("ReqNodeNotAvail,_May_be_reserved")
        );
        assert_eq!(message("launch_failed_requeued_held"), message("launch failed requeued held"));
        assert_eq!(message("RaisedSignal:9(Killed)"), "a signal ended it, which is mostly a crash");
        assert_eq!(message("RaisedSignal:53(Real-time_signal_19)"), "Slurm could not create its output file");
    }

    #[test]
    fn limits_are_told_apart_by_whose_and_of_what_they_are() {
        let hint = |reason: &str| explain(reason).unwrap().hint;
        assert_eq!(message("QOSMaxJobsPerUserLimit"), "you use as much as you may use at once");
        assert_eq!(hint("QOSMaxJobsPerUserLimit"), Some(STOP_ONE));
        assert_eq!(hint("AssocMaxJobsLimit"), Some(STOP_ONE));
        assert_eq!(hint("QOSMaxGRESPerUser"), Some(STOP_ONE));
        assert_eq!(hint("QOSMaxWallDurationPerJobLimit"), Some(LESS_TIME));
        assert_eq!(hint("AssociationTimeLimit"), Some(LESS_TIME));
        assert_eq!(hint("AssocMaxGRESPerJob"), Some(SMALLER));
        assert_eq!(message("AssocGrpGRES"), message("MaxGRESPerAccount"));
        assert_eq!(
            message("AssocGrpCPUMinutesLimit"),
            "your group has used up its share of computing time for now"
        );
        assert_eq!(message("MaxGRESRunMinsPerUser"), message("AssocGrpGRESRunMinutes"));
        assert_eq!(message("QOSMinGRES"), "it asks for less than its quality of service demands");
    }

    #[test]
    fn what_is_not_known_is_not_explained() {
        for reason in ["", "None", "InvalidReason", "Moonphase", "resources", "WaitingForScheduling"] {
            assert_eq!(explain(reason), None, "{reason}");
        }
    }

    proptest! {
        #[test]
        fn no_text_upsets_it(reason in "\\PC{0,60}") {
            let _ = explain(&reason);
        }
    }
}
