use super::*;
use crate::job::{Phase, SCHEMA, SlurmJob};

/// The job 7 of the example record, in this state.
fn job(state: &str, nodes: Option<&str>, reason: Option<&str>) -> QueuedJob {
    QueuedJob {
        id: "7".parse().unwrap(),
        state: JobState::read(state),
        reason: reason.map(str::to_owned),
        partition: "cpu".into(),
        account: None,
        user: "alice".into(),
        node_list: nodes.map(str::to_owned),
        start: None,
        end: None,
        time_left: None,
        comment: Comment::parse("bf:svc=aa110000000000000000000000000000"),
        name: "x".into(),
    }
}

/// A service with a job directory in `home`.
fn service(home: &std::path::Path) -> (Record, JobDir) {
    let mut record = Record::example("aa110000000000000000000000000000");
    record.scheduler = "slurm".into();
    record.job_id = None;
    record.home_dir = home.to_str().unwrap().into();
    let dir = JobDir::of(home, &record.id);
    dir.create().unwrap();
    dir.write("slurm.json", &SlurmJob { schema: SCHEMA, job: "7".parse().unwrap() }).unwrap();
    fs_err::write(dir.path().join("slurm-7.out"), "").unwrap();
    (record, dir)
}

/// The state that follows from what Slurm says alone, and its reason.
async fn seen(jobs: Result<Vec<QueuedJob>, Failure>) -> (ServiceState, String, Option<Cause>) {
    let home = tempfile::tempdir().unwrap();
    let (record, dir) = service(home.path());
    let scene = Scene::of(home.path()).with_queue(jobs);
    let status = derive(&record, &dir, None, &scene, false).await.unwrap();
    (status.state, status.reason.unwrap_or_default(), dir.end().unwrap().map(|end| end.cause))
}

#[tokio::test]
async fn what_slurm_says_of_a_job_becomes_a_state_and_a_reason() {
    use ServiceState::{Failed, Pending, Starting, Stopped, Timeout, Unhealthy};
    for (state, nodes, expected, words, cause) in [
        ("PENDING", None, Pending, "", None),
        ("REQUEUE_HOLD", None, Pending, "", None),
        ("CONFIGURING", Some("n1"), Starting, "n1", None),
        ("RUNNING", Some("n1"), Starting, "n1", None),
        ("COMPLETING", Some("n1"), Unhealthy, "ending", None),
        ("SUSPENDED", Some("n1"), Unhealthy, "suspended", None),
        ("HIBERNATING", Some("n1"), Unhealthy, "HIBERNATING", None),
        ("CANCELLED", None, Stopped, "before it began", Some(Cause::Stopped)),
        ("CANCELLED", Some("n1"), Stopped, "cancelled", Some(Cause::Stopped)),
        ("TIMEOUT", Some("n1"), Timeout, "time was up", Some(Cause::Walltime)),
        ("NODE_FAIL", Some("n1"), Failed, "the node n1 went down", Some(Cause::Unknown)),
        ("OUT_OF_MEMORY", Some("n1"), Failed, "memory", Some(Cause::HostOom)),
        ("PREEMPTED", Some("n1"), Failed, "priority", Some(Cause::Unknown)),
        ("FAILED", Some("n1"), Failed, "FAILED", Some(Cause::Unknown)),
        ("COMPLETED", Some("n1"), Failed, "without a report", Some(Cause::Unknown)),
    ] {
        let (seen, reason, end) = seen(Ok(vec![job(state, nodes, None)])).await;
        assert_eq!((seen, end), (expected, cause), "{state}: {reason}");
        assert!(!reason.is_empty() && reason.contains(words), "{state}: {reason}");
    }
}

#[tokio::test]
async fn a_job_is_known_by_its_comment_until_its_id_is_written_down() {
    let home = tempfile::tempdir().unwrap();
    let (record, dir) = service(home.path());
    fs_err::remove_file(dir.path().join("slurm.json")).unwrap();
    let mut own = job("PENDING", None, Some("Priority"));
    own.comment = Comment::parse(&format!("bf:svc={}", record.id));
    let other = QueuedJob { comment: None, ..job("RUNNING", Some("n1"), None) };
    let scene = Scene::of(home.path()).with_queue(Ok(vec![other, own]));
    assert_eq!(derive(&record, &dir, None, &scene, false).await.unwrap().state, ServiceState::Pending);
    let scene = Scene::of(home.path()).with_queue(Ok(Vec::new()));
    assert_eq!(derive(&record, &dir, None, &scene, false).await.unwrap().state, ServiceState::Submitted);
}

#[tokio::test]
async fn a_slurm_that_does_not_answer_ends_nothing() {
    let silent = || Err(Failure::new(bf_core::report::Exit::Unreachable, "slurm_unreachable", "no answer"));
    let (state, reason, end) = seen(silent()).await;
    assert_eq!((state, end), (ServiceState::Submitted, None));
    assert!(reason.contains("no answer"), "{reason}");
    // A supervisor that is heard needs no Slurm to be known.
    let home = tempfile::tempdir().unwrap();
    let (record, dir) = service(home.path());
    dir.write_state(&State::example(Phase::Ready)).unwrap();
    let scene = Scene::of(home.path()).with_queue(silent());
    let status = derive(&record, &dir, None, &scene, false).await.unwrap();
    assert_eq!(status.state, ServiceState::Healthy);
}

#[tokio::test]
async fn the_first_word_about_an_end_stays() {
    let home = tempfile::tempdir().unwrap();
    let (record, dir) = service(home.path());
    dir.write_end(&End::new(Cause::Idle, "nobody came")).unwrap();
    let scene = Scene::of(home.path()).with_queue(Ok(vec![job("CANCELLED", Some("n1"), None)]));
    let status = derive(&record, &dir, None, &scene, false).await.unwrap();
    assert_eq!(status.reason.as_deref(), Some("nobody came"));
}

#[tokio::test]
async fn another_job_of_the_same_number_is_not_ours() {
    let home = tempfile::tempdir().unwrap();
    let (record, dir) = service(home.path());
    for comment in [None, Comment::parse("bf:svc=bb220000000000000000000000000000")] {
        for state in ["RUNNING", "CANCELLED", "COMPLETED", "NODE_FAIL"] {
            let other = QueuedJob { comment: comment.clone(), ..job(state, Some("n1"), None) };
            let scene = Scene::of(home.path()).with_queue(Ok(vec![other]));
            assert_eq!(scene.job_of(&record).await.unwrap(), None);
            // Without Slurm's commands here, what is left is that nothing is known; never that it ended so.
            let _ = derive(&record, &dir, None, &scene, false).await;
            assert_eq!(dir.end().unwrap(), None, "{state}");
        }
    }
}

#[tokio::test]
async fn a_service_without_a_folder_is_still_that_of_its_job() {
    let home = tempfile::tempdir().unwrap();
    let (record, dir) = service(home.path());
    fs_err::remove_dir_all(dir.path()).unwrap();
    let scene = Scene::of(home.path()).with_queue(Ok(vec![job("PENDING", None, None)]));
    assert_eq!(derive(&record, &dir, None, &scene, false).await.unwrap().state, ServiceState::Pending);
    let scene = Scene::of(home.path()).with_queue(Ok(vec![job("CANCELLED", None, None)]));
    assert_eq!(derive(&record, &dir, None, &scene, false).await.unwrap().state, ServiceState::Stopped);
    let scene = Scene::of(home.path()).with_queue(Ok(Vec::new()));
    assert_eq!(derive(&record, &dir, None, &scene, false).await.unwrap().state, ServiceState::Failed);
}

#[tokio::test]
async fn a_node_that_does_not_see_the_home_is_told() {
    let home = tempfile::tempdir().unwrap();
    let (record, dir) = service(home.path());
    fs_err::remove_file(dir.path().join("slurm-7.out")).unwrap();
    let scene = Scene::of(home.path()).with_queue(Ok(vec![job("FAILED", Some("n1"), None)]));
    let status = derive(&record, &dir, None, &scene, false).await.unwrap();
    assert!(status.reason.unwrap().starts_with("the node n1 does not see"));
    assert!(status.hint.unwrap().contains("BLACKFISH_HOME_DIR"));
}

#[tokio::test]
async fn what_a_signal_looked_like_gives_way_to_what_slurm_says() {
    for (state, expected, words) in [
        ("NODE_FAIL", ServiceState::Failed, "n1 went down"),
        ("PREEMPTED", ServiceState::Failed, "priority"),
        ("TIMEOUT", ServiceState::Timeout, "time was up"),
        ("CANCELLED", ServiceState::Stopped, "cancelled"),
        ("COMPLETING", ServiceState::Stopped, "cancelled"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let (record, dir) = service(home.path());
        dir.write_end(&End::signalled()).unwrap();
        let scene = Scene::of(home.path()).with_queue(Ok(vec![job(state, Some("n1"), None)]));
        let status = crate::status::derive(&record, &scene, false).await.unwrap();
        assert_eq!(status.state, expected, "{state}");
        assert!(status.reason.unwrap().contains(words), "{state}");
        assert_eq!(dir.end().unwrap().unwrap().sure, state != "COMPLETING", "{state}");
    }
}
