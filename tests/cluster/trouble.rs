//! What can go wrong on a cluster: each has a state and a reason that a person can act on.

use std::time::Duration;

use bf_test_kit::{Cluster, REPO, eventually, or_skip};

use crate::site::{self, Service, queue, user};

/// Waits until the service is in a state, and gives the reason.
fn until(service: &Service<'_>, wanted: &str, patience: u64) -> String {
    eventually(&format!("{wanted} of {}", service.id), Duration::from_secs(patience), || {
        let (state, reason) = service.state();
        (state == wanted).then_some(reason)
    })
}

/// Fills all cores of both nodes with jobs of bob.
fn fill(cluster: &Cluster) {
    for _ in 0..2 {
        let words =
            ["sbatch", "--nodes=1", "--ntasks=1", "--cpus-per-task=8", "--mem=100", "--time=60", "--wrap"];
        cluster.program("bob@login", words).args(["exec sleep 600", "--output=/dev/null"]).code(0);
    }
    eventually("bob's jobs run", Duration::from_secs(20), || {
        (queue(cluster, "%u %T").iter().filter(|line| *line == "bob RUNNING").count() == 2).then_some(())
    });
}

#[test]
fn what_can_never_start_is_refused_with_the_reason() {
    let site = or_skip!(site::shared());
    let run = |options: &[&str]| user(site.cluster, "alice", ["run", "text-generation", REPO]).args(options);
    // More than resource_specs.yaml allows, and more than the partition does.
    run(&["--time", "301"]).code(64).one_sentence().stderr_contains("300");
    run(&["--time", "200"]).code(64).one_sentence().stderr_contains("180");
    run(&["--partition", "nope"]).code(66).one_sentence().stderr_contains("cpu, gpu");
    run(&["--tier", "Huge"]).code(64).one_sentence().stderr_contains("4000 GB of memory, the most is 7");
    run(&["--gres", "9", "--partition", "gpu"])
        .code(64)
        .one_sentence()
        .stderr_contains("9 GPUs, the most is 2");
    // What Slurm itself refuses is remembered, with its reason.
    run(&["--constraint", "nothing-has-this", "--name", "odd"]).code(64).one_sentence();
    let list = user(site.cluster, "alice", ["ls", "--json"]).code(0).json();
    let service = list["services"].as_array().unwrap().iter().find(|one| one["name"] == "odd").unwrap();
    assert_eq!(service["status"], "failed", "{service}");
    assert!(service["reason"].as_str().unwrap().contains("Slurm refused"), "{service}");
    let text = "run text-generation x/y --account 'a b'";
    let words = format!("/shared/cache/bin/bf-user {}", text.replace("x/y", REPO));
    site.cluster.bash("alice@login", &words).code(64).one_sentence().stderr_contains("account");
}

#[test]
fn an_account_that_is_not_ones_own_is_refused_by_name() {
    let cluster = or_skip!(site::own(true));
    let run = |options: &[&str]| user(&cluster, "alice", ["run", "text-generation", REPO]).args(options);
    let failure = run(&["--account", "nobody", "--name", "wrong"]).code(66).one_sentence();
    assert!(failure.stderr.contains("account"), "{failure}");
    let list = user(&cluster, "alice", ["ls", "--json"]).code(0).json();
    assert_eq!(list["services"][0]["status"], "failed", "{list}");
    assert_eq!(list["services"][0]["account"], "nobody", "{list}");
    // With her own it runs, and Slurm's accounts know how it ended when its queue has forgotten.
    let service = Service::run(&cluster, "right", ["--account", "research"]);
    let details = service.ready();
    assert_eq!(details["account"], "research");
    let job = details["job_id"].as_str().unwrap();
    service.ask(["stop", "right"]).code(0);
    let words = ["sacct", "-X", "-n", "-P", "-o", "State", "-j", job];
    eventually("the accounts know", Duration::from_secs(20), || {
        let said = cluster.program("alice@login", words).code(0).stdout;
        said.contains("CANCELLED").then_some(())
    });
}

#[test]
fn a_service_waits_for_its_turn_and_can_be_cancelled_while_it_does() {
    let cluster = or_skip!(site::own(false));
    fill(&cluster);
    let service = Service::run(&cluster, "waits", []);
    let reason = until(&service, "pending", 10);
    assert!(!reason.contains("Slurm gives the reason"), "a reason in words: {reason}");
    let told = service.ask(["wait", "waits", "--timeout", "1"]).code(75);
    assert!(told.stderr.contains("pending: "), "{told}");
    // By Slurm's own command, behind our back.
    let job = service.details()["job_id"].as_str().unwrap().to_owned();
    cluster.program("alice@login", ["scancel", &job]).code(0);
    assert_eq!(until(&service, "stopped", 10), "its job was cancelled before it began");

    let stopped = Service::run(&cluster, "stopped", []);
    until(&stopped, "pending", 10);
    stopped.ask(["stop", "stopped"]).code(0).stdout_contains("stopped");
    assert_eq!(stopped.state().0, "stopped");
    let left = queue(&cluster, "%u %T");
    assert!(!left.iter().any(|line| line == "alice PENDING"), "{left:?}");
}

#[test]
fn a_service_that_is_cancelled_by_others_says_so() {
    let cluster = or_skip!(site::own(false));
    let service = Service::run(&cluster, "cancelled", []);
    let job = service.ready()["job_id"].as_str().unwrap().to_owned();
    cluster.program("login", ["scancel", &job]).code(0);
    assert_eq!(until(&service, "stopped", 20), "its job was cancelled");
    // It ended by itself, and left nothing.
    let line = "pgrep -u alice; ls -d /tmp/bf-*; grep -c squashfuse /proc/mounts";
    eventually("nothing is left", Duration::from_secs(20), || {
        let left = ["node1", "node2"].map(|node| cluster.bash(node, line).run().stdout);
        left.iter().all(|left| left.trim() == "0").then_some(())
    });
}

#[test]
fn a_node_that_dies_and_a_controller_that_is_away_are_told_apart() {
    let cluster = or_skip!(site::own(false));
    let service = Service::run(&cluster, "dies", []);
    let node = service.ready()["node"].as_str().unwrap().to_owned();

    // The controller is away: the service is still heard, and nothing is said to have ended.
    let pid = cluster.bash("login", "cat /run/slurmctld.pid").code(0).stdout.trim().to_owned();
    cluster.program("login", ["kill", "-STOP", &pid]).code(0);
    assert_eq!(service.state().0, "healthy");
    cluster.program("login", ["kill", "-CONT", &pid]).code(0);

    cluster.node_down(&node);
    let reason = until(&service, "unhealthy", 30);
    assert!(!reason.is_empty());
    let reason = until(&service, "failed", 90);
    assert!(reason.contains(&node) && reason.contains("went down"), "{reason}");
    // Another one is started elsewhere.
    let again = Service::run(&cluster, "again", []);
    assert_ne!(again.ready()["node"].as_str().unwrap(), node);
}

#[test]
fn a_node_that_is_taken_away_ends_a_service_with_that_reason() {
    let cluster = or_skip!(site::own(false));
    let service = Service::run(&cluster, "taken", []);
    let node = service.ready()["node"].as_str().unwrap().to_owned();
    let update = format!("scontrol update nodename={node} state=down reason=maintenance");
    cluster.bash("login", &update).code(0);
    let reason = until(&service, "failed", 30);
    assert!(reason.contains(&node) && reason.contains("went down"), "{reason}");
}

/// Changes a job, as root.
fn cluster_update(cluster: &Cluster, job: &str, what: &str) {
    cluster.program("login", ["scontrol", "update", &format!("jobid={job}"), what]).code(0);
}

#[test]
fn a_job_that_is_not_the_services_is_never_touched() {
    let cluster = or_skip!(site::own(false));
    let service = Service::run(&cluster, "mistaken", []);
    service.ready();
    service.ask(["stop", "mistaken"]).code(0);
    // The number of the service's job comes again, as after a controller that lost its state; or another cluster has the same one.
    let words = ["sbatch", "--parsable", "--mem=100", "--output=/dev/null", "--wrap", "exec sleep 600"];
    let precious = cluster.program("alice@login", words).code(0).stdout.trim().to_owned();
    let slurm = format!("{{\"schema\": 1, \"job\": \"{precious}\"}}");
    fs_err::write(service.folder().join("slurm.json"), slurm).unwrap();
    for file in ["end.json", "state.json", "stop.json"] {
        fs_err::remove_file(service.folder().join(file)).unwrap();
    }
    // Slurm still knows the service's own job, by its comment.
    assert_eq!(service.state(), ("stopped".into(), "its job was cancelled".into()));
    service.ask(["stop", "mistaken"]).code(0).stdout_contains("had ended");
    let left = queue(&cluster, "%A %T");
    let alive =
        |line: &&String| ["RUNNING", "PENDING"].iter().any(|state| **line == format!("{precious} {state}"));
    assert!(left.iter().any(|line| alive(&line)), "{left:?}");
}

#[test]
fn what_was_written_down_wrongly_does_not_keep_a_job_alive() {
    let cluster = or_skip!(site::own(false));
    fill(&cluster);
    let service = Service::run(&cluster, "alive", []);
    until(&service, "pending", 10);
    let end = r#"{"schema": 1, "cause": "unknown", "exit_code": null, "signal": null, "message": "lost", "hint": null, "last_lines": []}"#;
    fs_err::write(service.folder().join("end.json"), end).unwrap();
    assert_eq!(service.state().0, "failed");
    service.ask(["rm", "alive"]).code(75).one_sentence().stderr_contains("bf-user stop");
    service.ask(["stop", "alive"]).code(0);
    let left = queue(&cluster, "%j %T");
    assert!(left.contains(&"alive CANCELLED".to_owned()), "{left:?}");
    service.ask(["rm", "alive"]).code(0);

    // A folder that somebody removed by hand.
    let service = Service::run(&cluster, "gone", []);
    until(&service, "pending", 10);
    fs_err::remove_dir_all(service.folder()).unwrap();
    assert_eq!(service.state().0, "pending");
    service.ask(["stop", "gone"]).code(0);
    let left = queue(&cluster, "%j %T");
    assert!(left.contains(&"gone CANCELLED".to_owned()), "{left:?}");
}

#[test]
fn an_answer_of_slurm_that_is_lost_loses_no_job() {
    let cluster = or_skip!(site::own(false));
    fill(&cluster);
    let folder = cluster.shared_dir().join("lost");
    fs_err::create_dir(&folder).unwrap();
    let text = "#!/bin/sh\n/usr/bin/sbatch \"$@\" >/dev/null\n\
        echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2\nexit 1\n";
    fs_err::write(folder.join("sbatch"), text).unwrap();
    cluster.program("login", ["chmod", "755", "/shared/lost/sbatch"]).code(0);
    let words = ["run", "text-generation", REPO, "--name", "lost"];
    let run = user(&cluster, "alice", words).env("PATH", "/shared/lost:/usr/bin:/bin").run();
    assert_ne!(run.exit, 0, "{run}");
    assert!(run.stderr.contains("may have taken it"), "{run}");
    let list = user(&cluster, "alice", ["ls", "--json"]).code(0).json();
    assert_eq!(list["services"][0]["status"], "pending", "{list}");
    user(&cluster, "alice", ["stop", "lost"]).code(0);
    let left = queue(&cluster, "%j %T");
    assert!(left.contains(&"lost CANCELLED".to_owned()), "{left:?}");
}

#[test]
fn a_service_whose_time_is_up_says_so() {
    let site = or_skip!(site::shared());
    let service = Service::run(site.cluster, "short", ["--time", "1"]);
    let longer = Service::run(site.cluster, "longer", ["--time", "1"]);
    let details = service.ready();
    assert!(details["ends_at"].is_string(), "{details}");
    // An administrator gives the other one more time, of which nobody tells it.
    let job = longer.ready()["job_id"].as_str().unwrap().to_owned();
    cluster_update(site.cluster, &job, "TimeLimit=60");
    let reason = until(&service, "timeout", 120);
    assert!(reason.contains("time was up"), "{reason}");
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(longer.state().0, "healthy");
    // And takes it away again.
    cluster_update(site.cluster, &job, "TimeLimit=1");
    let reason = until(&longer, "timeout", 90);
    assert!(reason.contains("time was up"), "{reason}");
}

#[test]
fn an_image_that_was_cut_short_is_told_before_and_in_the_job() {
    let cluster = or_skip!(site::own(false));
    let store = cluster.shared_dir().join("cache/images/.store");
    let sif = fs_err::read_dir(&store).unwrap().next().unwrap().unwrap().path();
    // The job waits while the image is damaged.
    fill(&cluster);
    let service = Service::run(&cluster, "cut", []);
    until(&service, "pending", 10);
    let file = fs_err::OpenOptions::new().write(true).open(&sif).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    user(&cluster, "alice", ["run", "text-generation", REPO]).code(65).one_sentence().stderr_contains("sif");
    cluster.program("login", ["scancel", "--user=bob"]).code(0);
    let reason = until(&service, "failed", 60);
    assert!(reason.contains("damaged"), "{reason}");
}
