//! Engines and folders that misbehave: each fault has a reason, and none hides another service or leaves anything.

use std::path::PathBuf;
use std::time::Duration;

use bf_test_kit::{Service, Site, eventually, or_skip, write_gguf};
use nix::sys::signal::Signal;

const MODEL: &str = "test/noise";
const SOON: Duration = Duration::from_secs(20);

/// A site whose one engine is `engine.py`, told to misbehave by what `run` gets after `--`.
fn site() -> Result<Site, String> {
    site_with("[{python}, {engine}, \"{{ socket }}\"]")
}

fn site_with(command: &str) -> Result<Site, String> {
    let python = ["/usr/bin/python3", "/usr/local/bin/python3"].map(PathBuf::from);
    let python = python.iter().find(|path| path.exists()).ok_or("there is no /usr/bin/python3")?;
    let site = Site::new();
    let gguf = site.path().join("noise.gguf");
    write_gguf(&gguf, 1).unwrap();
    fs_err::create_dir_all(site.cache()).unwrap();
    let cache = site.cache().to_str().unwrap().to_owned();
    site.admin(["model", "import", gguf.to_str().unwrap(), "--as", MODEL, "--cache-dir", &cache]).code(0);
    let engine = site.cache().join("engine.py");
    fs_err::write(&engine, include_str!("engine.py")).unwrap();
    let command =
        command.replace("{python}", python.to_str().unwrap()).replace("{engine}", engine.to_str().unwrap());
    let services = site.cache().join("templates/services");
    fs_err::create_dir_all(&services).unwrap();
    let text = format!(
        "id: llama_cpp\nkind: text_generation\nformats: [gguf]\ngpu: none\nlisten: unix\ncommand: {command}\n\
         health: /health\nready: {{path: /v1/completions, body: '{{}}'}}\n\
         routes: [GET /v1/models, POST /v1/chat/completions]\n"
    );
    fs_err::write(services.join("llama_cpp.yaml"), text).unwrap();
    Ok(site)
}

fn run(site: &Site, behaviour: &[&str]) -> Service {
    let mut words = vec!["--"];
    words.extend(behaviour);
    site.started_with(MODEL, &words)
}

fn ready(site: &Site, behaviour: &[&str]) -> Service {
    let service = run(site, behaviour);
    site.user(["wait", &service.id, "--timeout", "60"]).code(0);
    service
}

fn shown(site: &Site, service: &Service) -> serde_json::Value {
    let services = site.user(["ls", "--all", "--json"]).code(0).json();
    let services = services["services"].as_array().unwrap().clone();
    services.into_iter().find(|shown| shown["id"] == service.id.as_str()).expect("the service is shown")
}

#[test]
fn an_engine_that_ends_is_quoted() {
    let site = or_skip!(site());
    let service = run(&site, &["exits"]);
    let end = service.end(SOON);
    assert_eq!((end["cause"].as_str(), end["exit_code"].as_i64()), (Some("engine_exit"), Some(3)), "{end}");
    assert_eq!(end["last_lines"][0], "this engine has had enough");
    assert_eq!(shown(&site, &service)["status"], "failed");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let site = or_skip!(site_with("[/no/such/engine]"));
    let end = run(&site, &[]).end(SOON);
    assert_eq!(end["cause"], "missing_file", "{end}");
    assert!(end["message"].as_str().unwrap().contains("/no/such/engine"), "{end}");
}

#[test]
fn an_engine_that_will_not_end_is_killed_with_its_daemons() {
    let site = or_skip!(site());
    let service = ready(&site, &["stubborn", "daemon"]);
    let all = service.supervisor().unwrap().descendants();
    assert!(all.len() >= 3, "guardian, engine and daemon: {all:?}");
    site.user(["stop", &service.id]).code(0);
    assert_eq!(shown(&site, &service)["status"], "stopped");
    for process in all {
        assert!(process.gone_within(Duration::from_secs(1)), "{:?} is left", process.arguments());
    }
    assert!(site.work_folders().is_empty());
}

#[test]
fn a_killed_guardian_leaves_no_daemon() {
    let site = or_skip!(site());
    let service = ready(&site, &["daemon"]);
    let supervisor = service.supervisor().unwrap();
    let all = supervisor.descendants();
    supervisor.children()[0].signal(Signal::SIGKILL);
    for process in all {
        assert!(process.gone_within(SOON), "{:?} is left", process.arguments());
    }
    assert_eq!(service.end(SOON)["cause"], "unknown");
}

#[test]
fn an_engine_that_never_answers_is_trouble_after_the_grace_and_stops_when_idle() {
    let site = or_skip!(site());
    let service = site.started_with(MODEL, &["--grace-period", "1", "--idle-timeout", "3s", "--", "never"]);
    eventually("the trouble is told", SOON, || {
        let reason = shown(&site, &service)["reason"].as_str()?.to_owned();
        reason.contains("not ready after 1 s").then_some(())
    });
    assert_eq!(service.end(SOON)["cause"], "idle");
}

#[test]
fn a_frozen_supervisor_is_stopped_all_the_same() {
    let site = or_skip!(site());
    let service = ready(&site, &[]);
    let supervisor = service.supervisor().unwrap();
    let all = supervisor.descendants();
    supervisor.signal(Signal::SIGSTOP);
    site.user(["stop", &service.id]).code(0);
    assert_eq!(shown(&site, &service)["status"], "stopped");
    for process in all.into_iter().chain([supervisor]) {
        assert!(process.gone_within(SOON), "{:?} is left", process.arguments());
    }
    assert!(site.work_folders().is_empty());
}

#[test]
fn a_job_script_without_exec_is_stopped_too() {
    let site = or_skip!(site());
    let local = site.cache().join("templates/local");
    fs_err::create_dir_all(&local).unwrap();
    fs_err::write(local.join("service.sh.j2"), "#!/bin/bash\n{{ program }} supervise {{ job_dir }}\ntrue\n")
        .unwrap();
    let service = ready(&site, &[]);
    let supervisor = service.supervisor().unwrap();
    let all = supervisor.descendants();
    site.user(["stop", &service.id]).code(0);
    for process in all.into_iter().chain([supervisor]) {
        assert!(process.gone_within(SOON), "{:?} is left", process.arguments());
    }
    // At once after the start, when there is only the script.
    let service = run(&site, &[]);
    site.user(["stop", &service.id]).code(0);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(shown(&site, &service)["status"], "stopped");
    assert!(service.supervisor().is_none_or(|supervisor| supervisor.gone_within(SOON)));
}

#[test]
fn a_damaged_file_of_one_service_hides_no_other() {
    let site = or_skip!(site());
    let (damaged, whole) = (ready(&site, &[]), ready(&site, &[]));
    for name in ["endpoint.json", "local.json", "work.json"] {
        fs_err::write(damaged.folder.join(name), "{").unwrap();
        assert_eq!(shown(&site, &whole)["status"], "healthy", "with a damaged {name}");
        shown(&site, &damaged);
    }
    fs_err::remove_file(damaged.folder.join("local.json")).unwrap();
    site.user(["stop", &damaged.id]).code(0);
    assert_eq!(shown(&site, &damaged)["status"], "stopped");
    site.user(["rm", &damaged.id]).code(0);
    assert!(!damaged.folder.exists());
}

#[test]
fn a_lost_store_loses_no_service() {
    let site = or_skip!(site());
    let service = ready(&site, &[]);
    fs_err::write(site.home().join("services.db"), "this was a database once").unwrap();
    let outcome = site.user(["ls"]).run().one_sentence();
    assert_eq!(outcome.exit, 65, "{outcome}");
    fs_err::rename(site.home().join("services.db"), site.home().join("aside")).unwrap();
    assert_eq!(shown(&site, &service)["status"], "healthy");
    site.user(["stop", &service.id]).code(0);
}

#[test]
fn half_an_answer_is_an_error() {
    let site = or_skip!(site());
    let service = ready(&site, &["half"]);
    let outcome = site.user(["chat", &service.id, "-m", "Hello"]).run().one_sentence();
    assert_eq!(outcome.exit, 69, "{outcome}");
    assert!(outcome.stdout.contains("half an"), "what came is shown: {outcome}");
}

#[test]
fn a_service_that_has_ended_says_so_to_chat() {
    let site = or_skip!(site());
    let service = ready(&site, &[]);
    site.user(["stop", &service.id]).code(0);
    let outcome = site.user(["chat", &service.id, "-m", "Hello"]).run().one_sentence();
    assert_eq!(outcome.exit, 69, "{outcome}");
    assert!(outcome.stderr.contains("is stopped: stopped as asked"), "{outcome}");
}

#[test]
fn a_name_is_as_good_as_an_id_and_taken_by_one_that_lives() {
    let site = or_skip!(site());
    let first = site.started_with(MODEL, &["--name", "mine"]);
    let taken = site.user(["run", "text-generation", MODEL, "--name", "mine"]).run().one_sentence();
    assert_eq!(taken.exit, 75, "{taken}");
    // A name that is also the beginning of the other's id means the one that has the name.
    let hex = &first.id[..1];
    let second = site.started_with(MODEL, &["--name", hex]);
    site.user(["stop", hex]).code(0);
    assert_eq!(shown(&site, &second)["status"], "stopped");
    assert_ne!(shown(&site, &first)["status"], "stopped");
    site.user(["stop", "mine"]).code(0);
    let third = site.started_with(MODEL, &["--name", "mine"]);
    assert_eq!(site.user(["details", "mine", "--json"]).code(0).json()["id"], third.id.as_str());
}

#[test]
fn the_sites_time_counts_when_none_is_asked_for() {
    let site = or_skip!(site());
    let specs = "time: {default: 30, max: 60}\npartitions:\n  cpu:\n    default: true\n    tiers:\n      - {name: One, \
                 description: x, max_model_size_gb: null, gpu_count: 0, cpu_cores: 1, memory_gb: 1}\n";
    fs_err::write(site.cache().join("resource_specs.yaml"), specs).unwrap();
    let service = ready(&site, &[]);
    let shown = shown(&site, &service);
    assert_eq!(shown["time"], "00:30:00");
    assert!(shown["ends_at"].is_string(), "{shown}");
    let long = site.user(["run", "text-generation", MODEL, "--time", "61"]).run().one_sentence();
    assert_eq!(long.exit, 64, "{long}");
}

#[test]
fn a_get_with_a_body_is_refused() {
    use bf_test_kit::Request;
    let site = or_skip!(site());
    let service = ready(&site, &[]);
    let request = Request::get("/v1/models").body("GET /tools HTTP/1.1\r\nHost: engine\r\n\r\n");
    assert_eq!(service.send(request).status, 400);
}

#[test]
fn a_program_of_a_stranger_is_not_run() {
    let site = or_skip!(Site::provisioned());
    let copy = Site::new();
    let copied =
        copy.program("cp").args(["-a", site.cache().to_str().unwrap(), copy.cache().to_str().unwrap()]).run();
    assert_eq!(copied.exit, 0, "{copied}");
    copy.user(["run", "text-generation", bf_test_kit::REPO, "--dry-run"]).code(0);
    let engines = walk(&copy.cache().join("engines"));
    let module =
        engines.iter().find(|path| path.ends_with("xllamacpp/__init__.py")).expect("the engine's module");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs_err::set_permissions(module, mode).unwrap();
    let outcome = copy.user(["run", "text-generation", bf_test_kit::REPO]).run().one_sentence();
    assert_eq!(outcome.exit, 77, "{outcome}");
    assert!(outcome.stderr.contains("__init__.py"), "{outcome}");
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}
