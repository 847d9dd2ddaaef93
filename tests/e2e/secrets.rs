//! The key is in its file and nowhere else.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use bf_test_kit::{Site, or_skip, readable_anywhere};

#[test]
fn the_key_is_in_its_file_and_nowhere_else() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    let key = service.key();
    assert!(key.len() >= 32, "a key of 128 bits at least");
    site.user(["chat", &service.id, "-m", "Hello"]).code(0);

    let files: Vec<PathBuf> = everything_in(&site.home());
    let job = |name: &str| service.folder.join(name);
    for name in ["run.sh", "job.json", "engine.log", "supervisor.log", "endpoint.json", "state.json"] {
        assert!(files.contains(&job(name)), "{name} is not there");
    }
    assert_eq!(readable_anywhere(&key, &files), [job("key")]);
    let mode = |path: &PathBuf| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&job("key")), 0o600);
    assert_eq!(mode(&service.folder), 0o700);
    for folder in site.work_folders() {
        assert_eq!(mode(&folder), 0o700);
    }
    // Not even the programs say it.
    for arguments in [vec!["ls", "--json"], vec!["details", &service.id, "--json"], vec!["logs", &service.id]]
    {
        let outcome = site.user(arguments).code(0);
        assert!(!outcome.stdout.contains(&key) && !outcome.stderr.contains(&key), "{outcome}");
    }
}

#[test]
fn a_key_of_ones_own_comes_from_a_file_or_from_standard_input() {
    let site = or_skip!(Site::provisioned());
    let own = "a-key-of-my-own-0123456789";
    let file = site.path().join("own-key");
    fs_err::write(&file, format!("{own}\n")).unwrap();
    let from_file = site.started(&["--api-key-file", file.to_str().unwrap()]);
    assert_eq!(from_file.key(), own);
    let words = ["run", "text-generation", bf_test_kit::REPO, "--api-key-file", "-"];
    let outcome = site.user(words).input(own).code(0);
    let id = outcome.stdout.trim();
    let key = fs_err::read_to_string(site.home().join("jobs").join(id).join("key")).unwrap();
    assert_eq!(key.trim(), own);
    site.user(words).input("short").code(65).one_sentence();
}

fn everything_in(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap().filter_map(Result::ok) {
        if entry.path().is_dir() {
            files.extend(everything_in(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}
