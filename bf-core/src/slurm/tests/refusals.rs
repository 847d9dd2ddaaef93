//! What Slurm says when it says no, or nothing.

use std::path::Path;

use super::replay::Captured;
use crate::report::{Exit, Explain};
use crate::slurm::{Directive, JobId, Refusal, SlurmError};

/// What each refusal is. What is not here is accepted by one version at least.
const REFUSED: [(&str, Refusal); 22] = [
    ("account", Refusal::Account),
    ("account-of-others", Refusal::Account),
    ("account-enforced", Refusal::Account),
    ("partition", Refusal::Partition),
    ("partition-drained", Refusal::Partition),
    ("partition-inactive", Refusal::Partition),
    ("group-enforced", Refusal::Permission),
    ("qos", Refusal::Qos),
    ("qos-of-others", Refusal::Qos),
    ("qos-enforced", Refusal::Qos),
    ("qos-wall", Refusal::TimeLimit),
    ("submit-limit", Refusal::SubmitLimit),
    ("reservation", Refusal::Reservation),
    ("gpus", Refusal::NodeConfiguration),
    ("gpu-type", Refusal::NodeConfiguration),
    ("gres", Refusal::NodeConfiguration),
    ("constraint", Refusal::NodeConfiguration),
    ("nodelist", Refusal::NodeConfiguration),
    ("memory", Refusal::Memory),
    ("memory-enforced", Refusal::Memory),
    ("nodes-enforced", Refusal::NodeConfiguration),
    ("time-enforced", Refusal::TimeLimit),
];

#[test]
fn refusals_are_told_apart() {
    for captured in Captured::all() {
        for (name, expected) in REFUSED {
            let error = submitted(&captured, &format!("refused-{name}")).unwrap_err();
            let SlurmError::Refused { kind, message } = &error else {
                panic!("{} {name}: {error:?}", captured.version)
            };
            assert_eq!(*kind, expected, "{} {name}: {message}", captured.version);
            assert!(!message.contains("sbatch") && !message.contains("error:"), "{message}");
            assert!(error.hint().is_some(), "{name}");
            assert_eq!(error.code(), expected.code());
        }
    }
}

#[test]
fn refusals_have_the_exit_codes_of_what_is_at_fault() {
    for (refusal, exit) in [
        (Refusal::Account, Exit::NotFound),
        (Refusal::Partition, Exit::NotFound),
        (Refusal::Qos, Exit::NotFound),
        (Refusal::Reservation, Exit::NotFound),
        (Refusal::NodeConfiguration, Exit::Usage),
        (Refusal::TimeLimit, Exit::Usage),
        (Refusal::SubmitLimit, Exit::Busy),
        (Refusal::Permission, Exit::Permission),
    ] {
        assert_eq!(refusal.exit(), exit);
    }
}

#[test]
fn nothing_that_was_refused_counts_as_submitted() {
    for captured in Captured::all() {
        for name in captured.starting("refused-") {
            assert_eq!(submitted(&captured, name).is_ok(), captured.exit(name) == 0, "{name}");
        }
    }
}

#[test]
fn a_submitted_job_has_its_id() {
    for captured in Captured::all() {
        let id = submitted(&captured, "submitted").unwrap();
        assert_eq!(id.to_string(), captured.text("submitted.out").trim());
    }
}

#[test]
fn a_controller_that_is_away_is_told_from_a_refusal() {
    for captured in Captured::all() {
        let id: JobId = "1".parse().unwrap();
        let errors = [
            submitted(&captured, "away-sbatch").map(|_| ()),
            submitted(&captured, "unconfigured-sbatch").map(|_| ()),
            slurm_of("away-squeue", &captured, |slurm| slurm.queue("alice").map(|_| ())),
            slurm_of("unconfigured-squeue", &captured, |slurm| slurm.queue("alice").map(|_| ())),
            slurm_of("away-scontrol", &captured, |slurm| slurm.job(&id).map(|_| ())),
            slurm_of("away-scancel", &captured, |slurm| slurm.cancel(&id)),
            slurm_of("away-sinfo", &captured, |slurm| slurm.nodes().map(|_| ())),
        ];
        for (at, error) in errors.into_iter().enumerate() {
            let error = error.unwrap_err();
            assert!(matches!(error, SlurmError::Unreachable { .. }), "{} {at}: {error:?}", captured.version);
            assert_eq!(error.exit(), Exit::Unreachable);
        }
        for name in ["away-sacct", "plain-sacct"] {
            let replay = captured.replay(name);
            let error = replay.slurm().unwrap().accounted(std::slice::from_ref(&id)).unwrap_err();
            replay.was_asked();
            assert!(
                matches!(error, SlurmError::NoAccounting { .. }),
                "{} {name}: {error:?}",
                captured.version
            );
        }
    }
}

#[test]
fn cancelling_what_is_over_is_no_error_and_what_is_not_ours_is_one() {
    for captured in Captured::all() {
        let cancel = |name: &str, id: &str| {
            let replay = captured.replay(name);
            let ended = replay.slurm().unwrap().cancel(&id.parse().unwrap());
            replay.was_asked();
            ended
        };
        cancel("cancel-over", &captured.names["done"]).unwrap();
        cancel("cancel-unknown", "999999").unwrap();
        let others = captured.replay("cancel-others").slurm().unwrap().cancel(&"34".parse().unwrap());
        assert_eq!(others.unwrap_err().exit(), Exit::Permission);
    }
}

#[test]
fn paths_in_a_script_lead_where_they_say() {
    for captured in Captured::all() {
        let lines = captured.text("quoting");
        assert_eq!(lines.lines().count(), 8);
        for line in lines.lines() {
            let [folder, directive, file] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let written = Directive::path("output", Path::new(folder), "slurm-%j.out");
            if folder.contains('\\') {
                assert_eq!((written.is_err(), file), (true, ""), "{}", captured.version);
                continue;
            }
            let written = written.unwrap();
            assert_eq!(written.to_string(), directive);
            assert_eq!(file, format!("{folder}/slurm-ID.out"), "{}", captured.version);
        }
    }
}

fn submitted(captured: &Captured, name: &str) -> Result<JobId, SlurmError> {
    captured.replay(name).slurm().unwrap().submit(Path::new("/tmp/true"))
}

fn slurm_of(
    name: &str,
    captured: &Captured,
    ask: impl FnOnce(crate::slurm::Slurm) -> Result<(), SlurmError>,
) -> Result<(), SlurmError> {
    let replay = captured.replay(name);
    let answer = ask(replay.slurm().unwrap());
    replay.was_asked();
    answer
}
