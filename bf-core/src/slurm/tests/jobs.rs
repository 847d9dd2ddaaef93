//! The queue, single jobs, and the accounts.

use super::replay::{Captured, MARK};
use crate::report::Explain;
use crate::slurm::{Comment, JobFacts, JobId, JobState, QueuedJob, explain, job, queue};

/// State and reason of each job in the queue as it was captured last while the node was well.
const QUEUE: [(&str, JobState, Option<&str>); 34] = [
    ("timeout", JobState::Timeout, Some("TimeLimit")),
    ("running", JobState::Running, None),
    ("gpu", JobState::Running, None),
    ("done", JobState::Completed, None),
    ("exit3", JobState::Failed, Some("NonZeroExitCode")),
    ("signalled", JobState::Failed, Some("RaisedSignal:11(Segmentation fault)")),
    ("no-output", JobState::Failed, Some("RaisedSignal:53(Real-time signal 19)")),
    ("held", JobState::Pending, Some("JobHeldUser")),
    ("held-by-root", JobState::Pending, Some("JobHeldAdmin")),
    ("later", JobState::Pending, Some("BeginTime")),
    ("after", JobState::Pending, Some("Dependency")),
    ("never", JobState::Pending, Some("DependencyNeverSatisfied")),
    ("too-long", JobState::Pending, Some("PartitionTimeLimit")),
    ("too-many-nodes", JobState::Pending, Some("PartitionNodeLimit")),
    ("down-partition", JobState::Pending, Some("PartitionDown")),
    ("away-node", JobState::Pending, Some("ReqNodeNotAvail, UnavailableNodes:node2")),
    ("few1", JobState::Running, None),
    ("few2", JobState::Pending, Some("QOSMaxJobsPerUserLimit")),
    ("suspended", JobState::Suspended, None),
    ("requeued", JobState::Pending, Some("BeginTime")),
    ("requeued-held", JobState::Pending, Some("job requeued in held state")),
    ("special", JobState::SpecialExit, Some("job requeued in held state")),
    ("cancelled-waiting", JobState::Cancelled, Some("JobHeldUser")),
    ("cancelled", JobState::Cancelled, None),
    ("cancelled-by-root", JobState::Cancelled, None),
    ("submitted", JobState::Pending, Some("JobHeldUser")),
    ("slow", JobState::Running, None),
    ("completing", JobState::Cancelled, None),
    ("gives-way", JobState::Preempted, None),
    ("urgent", JobState::Running, None),
    ("resources", JobState::Pending, Some("Resources")),
    ("priority", JobState::Pending, Some("Priority")),
    ("array", JobState::Pending, Some("JobArrayTaskLimit")),
    ("array", JobState::Running, None),
];

fn queue_of(captured: &Captured, name: &str) -> Vec<QueuedJob> {
    let replay = captured.replay(name);
    let jobs = replay.slurm().unwrap().queue("alice").unwrap();
    replay.was_asked();
    jobs
}

fn facts(captured: &Captured, name: &str) -> JobFacts {
    let replay = captured.replay(&format!("job-{name}"));
    let id: JobId = captured.names[name].parse().unwrap();
    let facts = replay.slurm().unwrap().job(&id).unwrap().unwrap();
    replay.was_asked();
    assert_eq!(facts.id, id, "{} {name}", captured.version);
    facts
}

#[test]
fn every_job_of_the_queue_has_its_state_and_reason() {
    for captured in Captured::all() {
        let jobs = queue_of(&captured, "queue");
        for (name, state, reason) in QUEUE {
            // This version has one word for all that did not end by itself.
            let signalled = reason.is_some_and(|reason| reason.starts_with("RaisedSignal"));
            let reason =
                if captured.version == "22.05" && signalled { Some("JobLaunchFailure") } else { reason };
            let found = jobs
                .iter()
                .any(|job| job.name == name && job.state == state && job.reason.as_deref() == reason);
            let named: Vec<_> = jobs.iter().filter(|job| job.name == name).collect();
            assert!(found, "{} {name}: {named:?}", captured.version);
        }
        assert!(jobs.iter().all(|job| job.user == "alice" && job.account.as_deref() == Some("physics")));
        assert!(!jobs.iter().any(|job| matches!(job.state, JobState::Unknown(_))), "{}", captured.version);
    }
}

#[test]
fn fields_of_the_queue_are_read() {
    for captured in Captured::all() {
        let jobs = queue_of(&captured, "queue");
        let named = |name: &str| jobs.iter().find(|job| job.name == name).unwrap();
        let running = named("running");
        assert_eq!(running.id.to_string(), captured.names["running"]);
        assert_eq!((running.partition.as_str(), running.node_list.as_deref()), ("cpu", Some("node1")));
        let length = running.end.unwrap().duration_since(running.start.unwrap());
        // Its limit counts from the end of the prolog, a moment after its beginning.
        assert!((1800..=1803).contains(&length.as_secs()), "{running:?}");
        assert!((1000..=1800).contains(&running.time_left.unwrap()), "{running:?}");
        let comment = Comment {
            svc: Some("0f2c4d6e".into()),
            image: Some("aaaabbbbcccc".into()),
            model: Some("ddddeeeeffff".into()),
            ..Comment::default()
        };
        assert_eq!(running.comment, Some(comment));
        assert_eq!(named("gpu").comment.as_ref().unwrap().batch.as_deref(), Some("7"));
        assert!(named("gpu").time_left.unwrap() > 24 * 3600);
        let held = named("held");
        assert_eq!((&held.node_list, held.start, held.end, &held.comment), (&None, None, None, &None));
        assert_eq!(named("too-long").time_left, Some(10 * 3600));
        assert_eq!(named("down-partition").time_left, None);
        assert_eq!(named("timeout").time_left, None);
    }
}

#[test]
fn states_that_do_not_last_are_read() {
    for captured in Captured::all() {
        let jobs = queue_of(&captured, "queue-early");
        let state = |name: &str| &jobs.iter().find(|job| job.name == name).unwrap().state;
        assert_eq!(state("slow"), &JobState::Configuring);
        assert_eq!(state("completing"), &JobState::Completing);
        assert_eq!(facts(&captured, "slow").state, JobState::Configuring);
        assert_eq!(facts(&captured, "completing").state, JobState::Completing);
        let late = queue_of(&captured, "queue-late");
        let node_fail = late.iter().find(|job| job.name == "node-fail").unwrap();
        assert_eq!(node_fail.state, JobState::NodeFail);
    }
}

#[test]
fn every_reason_is_explained() {
    for captured in Captured::all() {
        for name in ["queue", "queue-early", "queue-late"] {
            for job in queue_of(&captured, name) {
                let Some(reason) = job.reason else { continue };
                let explained = explain(&reason).unwrap_or_else(|| panic!("{}: {reason}", captured.version));
                assert!(!explained.message.ends_with('.'));
            }
        }
        for name in captured.starting("job-").into_iter().chain(captured.starting("accepted-")) {
            let facts = job::read(&captured.text(&format!("{name}.out"))).unwrap();
            if let Some(reason) = facts.and_then(|facts| facts.reason) {
                assert!(explain(&reason).is_some(), "{}: {reason}", captured.version);
            }
        }
    }
}

#[test]
fn the_names_and_comments_of_others_are_only_names_and_comments() {
    for captured in Captured::all() {
        let replay = captured.replay("queue-of-all");
        let jobs = replay.slurm().unwrap().queue_of_all(&[]).unwrap();
        replay.was_asked();
        let bobs: Vec<_> = jobs.iter().filter(|job| job.user == "bob").collect();
        assert_eq!(bobs.len(), 5, "{}", captured.version);
        assert!(jobs.iter().all(|job| job.user == "alice" || job.user == "bob"));
        assert!(!jobs.iter().any(|job| job.id.number() == "777"));
        assert!(bobs.iter().all(|job| job.state == JobState::Pending));
        let named = |start: &str| bobs.iter().find(|job| job.name.starts_with(start)).unwrap();
        let forger = named("first\n777|RUNNING|");
        assert_eq!(forger.comment, Some(Comment::default()));
        let odd = named("x JobState=").comment.clone().unwrap();
        assert_eq!((odd.svc.as_deref(), odd.image, odd.model.as_deref()), (Some("a"), None, Some("b")));
        assert_eq!(named("pipe|in").name, "pipe|in|name \"quoted\" 'too' äö");
        assert_eq!(named("xxx").name.len(), 500);
        assert_eq!(queue_of(&captured, "queue").len(), jobs.len() - bobs.len());
        let stranger = captured.replay("queue-of-stranger");
        assert_eq!(stranger.slurm().unwrap().queue("nosuchuser").unwrap_err().code(), "slurm_invalid_value");
    }
}

#[test]
fn the_controller_knows_how_a_job_ended() {
    for captured in Captured::all() {
        let ended = |name: &str| {
            let facts = facts(&captured, name);
            (facts.state, facts.exit_code, facts.signal)
        };
        assert_eq!(ended("done"), (JobState::Completed, Some(0), None));
        assert_eq!(ended("exit3"), (JobState::Failed, Some(3), None));
        assert_eq!(ended("signalled"), (JobState::Failed, None, Some(11)));
        assert_eq!(ended("no-output"), (JobState::Failed, None, Some(53)));
        assert_eq!(ended("running"), (JobState::Running, None, None));
        assert_eq!(ended("held"), (JobState::Pending, None, None));
        assert_eq!(ended("timeout").0, JobState::Timeout);
        assert_eq!(ended("cancelled").0, JobState::Cancelled);
        assert_eq!(ended("gives-way").0, JobState::Preempted);
        assert!(facts(&captured, "gives-way").preempted.is_some());
        assert!(facts(&captured, "node-fail").preempted.is_none());
        assert_eq!(ended("node-fail").0, JobState::NodeFail);
        assert_eq!(ended("special").0, JobState::SpecialExit);
        let running = facts(&captured, "running");
        assert_eq!(
            (running.partition.as_deref(), running.node_list.as_deref()),
            (Some("cpu"), Some("node1"))
        );
        assert_eq!(running.comment.unwrap().svc.as_deref(), Some("0f2c4d6e"));
        let length = running.end.unwrap().duration_since(running.start.unwrap());
        assert!((1800..=1803).contains(&length.as_secs()), "{length}");
        let forgotten = captured.replay("job-unknown");
        assert_eq!(forgotten.slurm().unwrap().job(&"999999".parse().unwrap()).unwrap(), None);
    }
}

#[test]
fn the_accounts_know_how_a_job_ended() {
    for captured in Captured::all() {
        let replay = captured.replay("accounted");
        let ids: Vec<JobId> = captured.names.values().map(|number| number.parse().unwrap()).collect();
        let jobs = replay.slurm().unwrap().accounted(&ids).unwrap();
        let ended = |name: &str| {
            let number = &captured.names[name];
            let facts = jobs.iter().find(|job| job.id.number() == number).unwrap();
            (facts.state.clone(), facts.exit_code, facts.signal)
        };
        assert_eq!(ended("done"), (JobState::Completed, Some(0), None));
        assert_eq!(ended("exit3"), (JobState::Failed, Some(3), None));
        assert_eq!(ended("signalled"), (JobState::Failed, None, Some(11)));
        assert_eq!(ended("timeout").0, JobState::Timeout);
        assert_eq!(ended("cancelled").0, JobState::Cancelled);
        assert_eq!(ended("gives-way").0, JobState::Preempted);
        assert_eq!(ended("node-fail").0, JobState::NodeFail);
        assert_eq!(ended("held"), (JobState::Pending, None, None));
        let cancelled_by = |name: &str| {
            jobs.iter().find(|job| job.id.number() == captured.names[name]).unwrap().cancelled_by
        };
        // Newer versions do not say who.
        let known = captured.version == "22.05";
        assert_eq!(cancelled_by("cancelled"), known.then_some(2001));
        assert_eq!(cancelled_by("cancelled-by-root"), known.then_some(0));
        let unknown = captured.replay("accounted-unknown");
        assert_eq!(unknown.slurm().unwrap().accounted(&["999999".parse().unwrap()]).unwrap(), []);
    }
}

#[test]
fn a_queue_that_is_cut_off_anywhere_upsets_nobody() {
    for captured in Captured::all() {
        let whole = captured.text("queue-of-all.out");
        let jobs = queue::read_leniently(&whole, MARK).len();
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)).step_by(7) {
            assert!(queue::read_leniently(&whole[..end], MARK).len() <= jobs);
            let _ = queue::read(&whole[..end], MARK);
        }
    }
}
