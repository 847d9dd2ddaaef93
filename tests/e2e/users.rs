//! A second real user in a cache that root provisioned with a hostile umask.

use std::path::{Path, PathBuf};

use bf_test_kit::{Program, Request, Site, or_skip, skip};
use nix::unistd::geteuid;
use serde_json::Value;

const SOMEBODY: u32 = 54_321;

#[test]
fn a_second_user_reads_everything_that_was_provisioned() {
    if !geteuid().is_root() {
        skip!("needs root, to become a second user");
    }
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    site.declare(&model);
    site.admin(["setup"]).umask(0o077).code(0);
    site.admin(["permissions", "check"]).code(0);

    let asked = |program: &str| Program::new(program, Path::new("/")).as_user(SOMEBODY);
    let cache = site.cache().to_str().unwrap();
    // Nothing but the private parts is closed to him.
    let prune = "( -name .staging -o -name .locks -o -name .quarantine -o -name audit.jsonl ) -prune -o";
    let closed = "( ! -readable -o -type d ! -executable ) -print";
    let words = [cache].into_iter().chain(prune.split(' ')).chain(closed.split(' '));
    let found = asked("find").args(words).code(0);
    assert_eq!(found.stdout, "", "{found}");
    assert_eq!(found.stderr, "", "{found}");
    // And what he reads is what was locked.
    let lock: Value = serde_json::from_slice(&fs_err::read(site.cache().join("site.lock")).unwrap()).unwrap();
    let entry = &lock["models"][bf_test_kit::REPO];
    let folder = format!("models/models--{}/snapshots", bf_test_kit::REPO.replace('/', "--"));
    let snapshot = site.cache().join(folder).join(entry["commit"].as_str().unwrap());
    for file in entry["files"].as_array().unwrap() {
        let path = snapshot.join(file["path"].as_str().unwrap());
        let sum = asked("sha256sum").args([&path]).code(0);
        assert!(sum.stdout.starts_with(file["sha256"].as_str().unwrap()), "{sum}");
    }

    // He starts a service of his own from it.
    let his = somebodys_program(&site);
    let home = site.path().join("his");
    fs_err::create_dir(&home).unwrap();
    nix::unistd::chown(&home, Some(SOMEBODY.into()), Some(SOMEBODY.into())).unwrap();
    let user = |arguments: &[&str]| {
        Program::new(&his, Path::new("/"))
            .env("BLACKFISH_HOME_DIR", &home)
            .env("BLACKFISH_CACHE_DIR", site.cache())
            .env("HOME", &home)
            .as_user(SOMEBODY)
            .args(arguments)
    };
    user(&["model", "ls"]).code(0).stdout_contains(bf_test_kit::REPO);
    let id = user(&["run", "text-generation", bf_test_kit::REPO]).code(0).stdout.trim().to_owned();
    let wait = user(&["wait", &id, "--timeout", "120"]).run();
    let answer = user(&["chat", &id, "-m", "Hello"]).run();
    user(&["stop", &id]).code(0);
    assert_eq!(wait.exit, 0, "{wait}");
    assert_eq!(answer.exit, 0, "{answer}");
}

/// `bf-user` where others can run it.
fn somebodys_program(site: &Site) -> PathBuf {
    let to = site.path().join("bf-user");
    fs_err::copy(bf_test_kit::binary("bf-user"), &to).unwrap();
    fs_err::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    to
}

#[test]
fn a_service_is_its_owners_alone() {
    if !geteuid().is_root() {
        skip!("needs root, to become a second user");
    }
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    let processes = service.processes();
    let asked = |program: &str| Program::new(program, Path::new("/")).as_user(SOMEBODY);

    for name in ["key", "engine.log", "job.json", "run.sh"] {
        let outcome = asked("cat").args([service.folder.join(name)]).run();
        assert_ne!(outcome.exit, 0, "{name} can be read: {outcome}");
    }
    let folders = site.work_folders();
    assert_eq!(folders.len(), 1, "{folders:?}");
    assert_ne!(asked("ls").args(&folders).run().exit, 0, "the engine's folder can be entered");
    let environment = format!("/proc/{}/environ", processes.engine.pid);
    assert_ne!(asked("cat").args([environment]).run().exit, 0);
    // On the port he is asked for the key, as everybody.
    let answer = Request::get("/v1/models").send(service.address()).unwrap();
    assert_eq!(answer.status, 401);
}
