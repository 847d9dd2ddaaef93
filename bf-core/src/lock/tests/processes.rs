//! Several processes on one folder, stopped, continued and killed at random. No `flock` is anywhere.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::random::{HASTY, below, one_more, pause};
use super::*;

const PLACE: &str = "BF_TEST_LOCK_DIR";

/// Not a test but what the test below starts: publishes marks until it is killed, and writes down which it has published.
#[test]
#[ignore = "run by `stopped_and_killed_processes_lose_and_overwrite_nothing`"]
fn publish_until_killed() {
    let Some(dir) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let layout = layout(&dir.join("cache"));
    let me = on(&format!("host-of-{}", std::process::id()));
    for number in 0.. {
        let patience = Patience::AtMost(Duration::from_millis(500));
        let Ok(mut guard) = take::take(&layout, &me, HASTY, patience, &mut |_| {}) else { continue };
        guard.after_check = Some(pause);
        let mark = format!("{}.{number}", std::process::id());
        if one_more(&guard, |old| old + &mark + "\n") {
            let done = dir.join(format!("done-{}", std::process::id()));
            let mut done = std::fs::OpenOptions::new().append(true).create(true).open(done).unwrap();
            writeln!(done, "{mark}").unwrap();
        }
    }
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lock::tests::processes::publish_until_killed", "--ignored"])
        .env(PLACE, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn stopped_and_killed_processes_lose_and_overwrite_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir(dir.path().join("cache")).unwrap();
    let mut children: Vec<Child> = (0..4).map(|_| start(dir.path())).collect();
    let signal = |child: &Child, signal| {
        let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal);
    };
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        std::thread::sleep(Duration::from_millis(below(60)));
        let one = usize::try_from(below(4)).unwrap();
        signal(&children[one], Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(below(150)));
        if below(4) == 0 {
            children[one].kill().unwrap();
            children[one].wait().unwrap();
            children[one] = start(dir.path());
        } else {
            signal(&children[one], Signal::SIGCONT);
        }
    }
    for mut child in children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let text = fs_err::read_to_string(dir.path().join("cache/site.yaml")).unwrap();
    let published: Vec<&str> = text.lines().collect();
    let unique: HashSet<&str> = published.iter().copied().collect();
    assert_eq!(unique.len(), published.len());
    let mut done = 0;
    for entry in fs_err::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            for mark in fs_err::read_to_string(path).unwrap().lines() {
                assert!(unique.contains(mark), "{mark} was published and is lost");
                done += 1;
            }
        }
    }
    println!("{done} known publications of {}", published.len());
    // Who was killed may have published one and not written it down.
    assert!(done > 0 && done <= published.len());
}
