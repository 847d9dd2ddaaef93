//! A service from its start to its end.

use std::time::Duration;

use bf_test_kit::{Request, Site, eventually, or_skip};
use serde_json::json;

#[test]
fn a_service_starts_answers_stops_and_leaves_nothing() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&["--name", "first"]);
    let processes = service.processes();

    let answer = site
        .user(["chat", &service.id, "-m", "What is the capital of France?", "--max-tokens", "64", "--json"])
        .code(0)
        .json();
    assert!(!answer["answer"].as_str().unwrap().trim().is_empty(), "{answer}");
    assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() > 0, "{answer}");
    // There is one service: it need not be named. A script gets the answer and nothing else.
    let said = site.user(["chat", "-m", "Say hello."]).code(0);
    assert!(!said.stdout.trim().is_empty(), "{said}");

    site.user(["ls"]).code(0).stdout_contains("first").stdout_contains("healthy");
    site.user(["details", &service.id]).code(0).stdout_contains(&service.id);
    let log = site.user(["logs", &service.id]).code(0);
    assert!(!log.stdout.trim().is_empty(), "the engine has said something: {log}");

    site.user(["stop", &service.id]).code(0);
    for process in [processes.supervisor, processes.guardian, processes.engine] {
        assert!(process.gone_within(Duration::from_secs(1)), "{process:?} is left");
    }
    assert_eq!(site.work_folders(), Vec::<std::path::PathBuf>::new());
    let end = service.end(Duration::ZERO);
    assert_eq!(end["cause"], "stopped", "{end}");
    let all = site.user(["ls", "--all", "--json"]).code(0).json();
    assert_eq!(all["services"][0]["status"], "stopped", "{all}");

    site.user(["stop", &service.id]).code(0); // that it has ended is what was wanted
    site.user(["rm", &service.id]).code(0);
    assert!(!service.folder.exists(), "rm removes the job directory");
    let all = site.user(["ls", "--all", "--json"]).code(0).json();
    assert_eq!(all["services"], json!([]));
    let left: Vec<_> = fs_err::read_dir(site.user_home()).unwrap().collect();
    assert!(left.is_empty(), "HOME is not written to: {left:?}");
}

#[test]
fn a_service_that_nobody_uses_stops_by_itself() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&["--idle-timeout", "4s"]);
    // A request is use: the time begins anew.
    std::thread::sleep(Duration::from_secs(2));
    let answer = service.send(Request::get("/v1/models"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let supervisor = service.supervisor().expect("used, so not stopped");
    let end = service.end(Duration::from_secs(20));
    assert_eq!(end["cause"], "idle", "{end}");
    assert!(supervisor.gone_within(Duration::from_secs(5)));
    let services = site.user(["ls", "--all", "--json"]).code(0).json();
    assert_eq!(services["services"][0]["status"], "stopped", "{services}");
    assert!(services["services"][0]["reason"].as_str().unwrap().contains("without a request"), "{services}");
}

#[test]
fn inactive_services_are_removed_together_and_running_ones_stay() {
    let site = or_skip!(Site::provisioned());
    let ended = site.started(&["--name", "ended"]);
    site.user(["stop", &ended.id]).code(0);
    let running = site.healthy(&["--name", "running"]);
    assert_ne!(site.user(["rm", &running.id]).run().exit, 0, "a running service is not removed");
    site.user(["rm", "--inactive"]).code(0);
    assert!(!ended.folder.exists());
    let services = site.user(["ls", "--all", "--json"]).code(0).json();
    assert_eq!(services["services"].as_array().unwrap().len(), 1, "{services}");
    assert_eq!(services["services"][0]["id"], running.id.as_str());
    assert_eq!(services["services"][0]["status"], "healthy");
}

#[test]
fn a_dry_run_starts_nothing() {
    let site = or_skip!(Site::provisioned());
    let outcome = site.user(["run", "text-generation", bf_test_kit::REPO, "--dry-run"]).code(0);
    assert!(!outcome.stdout.trim().is_empty(), "{outcome}");
    assert!(
        !site.home().join("jobs").exists()
            || fs_err::read_dir(site.home().join("jobs")).unwrap().count() == 0
    );
    assert_eq!(site.user(["ls", "--all", "--json"]).code(0).json()["services"], json!([]));
}

#[test]
fn the_log_can_be_followed_to_the_end() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    let mut follower = site.user(["logs", &service.id, "-f"]).spawn();
    site.user(["stop", &service.id]).code(0);
    let ended = eventually("the end of `logs -f`", Duration::from_secs(20), || follower.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
}
