//! `status --full` that is interrupted goes on where it was, and one that ends leaves nothing that the next one would believe.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bf_test_kit::{Process, Site, write_gguf};
use nix::sys::signal::Signal;

const MODELS: u64 = 10;
const MEGABYTES: u64 = 40;

/// A cache of models that take a while to read.
fn site() -> Site {
    let site = Site::new();
    let mut text = "schema: 1\ncache_dir: cache\nmodels:\n".to_owned();
    for number in 0..MODELS {
        let folder = site.path().join(format!("dl-{number}"));
        fs_err::create_dir(&folder).unwrap();
        let file = folder.join("model.gguf");
        write_gguf(&file, MEGABYTES).unwrap();
        let mut bytes = fs_err::read(&file).unwrap();
        *bytes.last_mut().unwrap() = u8::try_from(number).unwrap();
        fs_err::write(&file, bytes).unwrap();
        writeln!(text, "  - {{repo: org/m{number}, path: {}}}", folder.display()).unwrap();
    }
    site.declare_text(&text);
    site.admin(["setup"]).code(0);
    // What was changed a moment before a check is not noted.
    std::thread::sleep(Duration::from_secs(4));
    site
}

fn journal(site: &Site) -> PathBuf {
    site.cache().join(".verify/journal")
}

/// Begins a check, and kills it when it has found as many files right as are wanted at least. Gives what it has noted. On a busy
/// machine it may have gone further before it is killed: then all is forgotten, and another one is begun.
fn interrupt(site: &Site, wanted: RangeInclusive<usize>, signal: Signal) -> Vec<serde_json::Value> {
    let noted = || {
        let text = fs_err::read_to_string(journal(site)).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter(|line| line["sha256"].is_string()).collect::<Vec<_>>()
    };
    for _ in 0..60 {
        let mut check = site.admin(["status", "--full", "--threads", "1"]).spawn();
        let process = Process::now(i32::try_from(check.id()).unwrap()).unwrap();
        let begun = Instant::now();
        while noted().len() < *wanted.start() && check.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(30), "nothing is read");
            std::thread::sleep(Duration::from_millis(1));
        }
        process.signal(signal);
        check.wait().unwrap();
        let noted = noted();
        if wanted.contains(&noted.len()) {
            return noted;
        }
        if !noted.is_empty() {
            fs_err::remove_file(journal(site)).unwrap();
        }
    }
    panic!("always killed too late");
}

/// Runs `status --full` to its end, and gives what it has said and how many bytes it has read.
fn resumed(site: &Site, exit: i32) -> (String, u64) {
    let program = bf_test_kit::binary("bf-admin");
    let line = format!("'{}' status --full; code=$?; grep rchar /proc/$$/io; exit $code", program.display());
    let outcome = bf_test_kit::Program::new("bash", site.path()).args(["-c", &line]).code(exit);
    let read = outcome.stdout.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    (format!("{}{}", outcome.stdout, outcome.stderr), read.trim().parse().unwrap())
}

#[test]
fn what_was_read_before_a_kill_is_not_read_again_unless_it_changed() {
    let site = site();
    let length = |path: PathBuf| fs_err::metadata(path).unwrap().len();
    let weights =
        (0..MODELS).map(|number| length(site.path().join(format!("dl-{number}/model.gguf")))).sum::<u64>();
    let all = weights + length(site.cache().join("bin/bf-user"));
    let first = interrupt(&site, 2..=5, Signal::SIGKILL);
    let second = interrupt(&site, first.len() + 2..=10, Signal::SIGTERM);
    assert!(second.len() > first.len(), "{first:?} {second:?}");
    let text = fs_err::read_to_string(journal(&site)).unwrap();
    assert_eq!(text.matches("sha256").count(), second.len(), "none is read twice: {text}");
    // The cut of a kill.
    fs_err::write(journal(&site), format!("{text}{{\"file\":{{\"dev")).unwrap();
    let (said, read) = resumed(&site, 0);
    assert!(said.contains(&format!("{} of {} files", second.len(), MODELS + 1)), "{said}");
    let rest = all - second.iter().map(|line| line["file"]["bytes"].as_u64().unwrap()).sum::<u64>();
    // Besides: the programs themselves as they are loaded, and bf-user beside bf-admin, which is compared.
    let besides = 20_000_000 + length(bf_test_kit::binary("bf-user"));
    assert!((rest..rest + besides).contains(&read), "{read} bytes were read, {rest} were left: {said}");
    // It is done: nothing is left of it, and the next one reads everything.
    assert!(!site.cache().join(".verify").exists());
    let (said, read) = resumed(&site, 0);
    assert!(!said.contains("interrupted") && read > all, "{read}: {said}");
}

#[test]
fn a_file_that_changed_after_it_was_read_is_read_again() {
    let site = site();
    let noted = interrupt(&site, 3..=10, Signal::SIGKILL);
    // Ordinary commands are not in its way.
    site.admin(["permissions", "check"]).code(0);
    site.admin(["setup"]).code(0).stdout_contains("nothing to do");
    site.admin(["status"]).code(0);
    assert!(journal(&site).exists());

    // The same length and the same times, as whoever hides a change would have them.
    let models = |number| site.cache().join(format!("models/models--org--m{number}/blobs"));
    let blobs = noted.iter().flat_map(|line| {
        let sha256 = line["sha256"].as_str().unwrap();
        (0..MODELS).map(|number| models(number).join(sha256)).collect::<Vec<_>>()
    });
    // One of those that were read may be the program of users.
    let blob = blobs.into_iter().find(|blob| blob.exists()).unwrap();
    let before = fs_err::metadata(&blob).unwrap();
    let mut bytes = fs_err::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&blob, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(&blob).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let after = fs_err::metadata(&blob).unwrap();
    assert_eq!((before.len(), before.mtime_nsec()), (after.len(), after.mtime_nsec()));
    let (said, _) = resumed(&site, 2);
    assert!(said.contains("not what site.lock says") && said.contains("interrupted"), "{said}");
    assert!(!journal(&site).exists(), "damage that was told ends a check as well");
    // And `setup --full` reads with the same threads, and mends it.
    site.admin(["setup", "--full"]).code(0).stdout_contains("1 change");
    site.admin(["status", "--full"]).code(0);
}
