//! What is left when a process of a service is killed: nothing, and a reason.

use std::time::{Duration, Instant};

use bf_test_kit::{Processes, Service, Site, or_skip};
use nix::sys::signal::Signal;

/// From the kill to `failed` with a reason.
const SOON: Duration = Duration::from_secs(15);

#[test]
fn a_killed_supervisor_takes_the_engine_with_it() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    let processes = service.processes();
    processes.supervisor.signal(Signal::SIGKILL);
    fails_with_a_reason(&site, &service, processes);
}

#[test]
fn a_killed_guardian_takes_the_engine_with_it() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    let processes = service.processes();
    processes.guardian.signal(Signal::SIGKILL);
    fails_with_a_reason(&site, &service, processes);
}

#[test]
fn a_killed_engine_ends_the_service() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    let processes = service.processes();
    processes.engine.signal(Signal::SIGKILL);
    let end = fails_with_a_reason(&site, &service, processes);
    assert_eq!(end["signal"], 9, "{end}");
}

#[test]
fn a_supervisor_killed_while_the_model_loads_leaves_nothing() {
    let site = or_skip!(Site::provisioned());
    let service = site.started(&[]);
    let processes = service.processes();
    processes.supervisor.signal(Signal::SIGKILL);
    fails_with_a_reason(&site, &service, processes);
}

fn fails_with_a_reason(site: &Site, service: &Service, processes: Processes) -> serde_json::Value {
    let begun = Instant::now();
    let (status, reason) = loop {
        let services = site.user(["ls", "--all", "--json"]).code(0).json();
        let status = services["services"][0]["status"].as_str().unwrap().to_owned();
        let reason = services["services"][0]["reason"].as_str().unwrap_or_default().to_owned();
        if status == "failed" || begun.elapsed() > SOON {
            break (status, reason);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(status, "failed", "after {SOON:?}; reason: {reason}");
    assert!(reason.len() > 10, "a reason that a person understands: `{reason}`");
    for process in [processes.supervisor, processes.guardian, processes.engine] {
        let left = SOON.saturating_sub(begun.elapsed());
        assert!(process.gone_within(left), "{process:?} is left: {:?}", process.arguments());
    }
    let end = service.end(SOON.saturating_sub(begun.elapsed()));
    // From now on the reason is what the last one alive has written down.
    let services = site.user(["ls", "--all", "--json"]).code(0).json();
    assert_eq!(services["services"][0]["reason"], end["message"], "{services}");
    bf_test_kit::eventually("the work folder is removed", SOON, || {
        site.work_folders().is_empty().then_some(())
    });
    // `wait` on what has failed says so at once.
    site.user(["wait", &service.id, "--timeout", "5"]).code(1).one_sentence();
    eprintln!("failed after {:?}: {reason}", begun.elapsed());
    end
}
