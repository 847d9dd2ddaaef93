//! Who reads the cache: other users, the Hub's own clients. And what becomes of theirs.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use bf_test_kit::hub::{Place, Python, Series};
use bf_test_kit::{Program, Tree, or_skip};
use nix::unistd::geteuid;

use super::{ID, SHARD, Stage};

#[test]
fn everybody_reads_it_and_nobody_else_changes_it_whatever_the_umask() {
    for (declared, of_files) in [("", 0o755), ("file_mode: 0644\n", 0o644)] {
        for umask in [0o077, 0o000] {
            let stage = Stage::new();
            stage.provide(declared);
            stage.add(&[]).umask(umask).code(0);
            stage.is_whole();
            for (path, entry) in Tree::of(stage.site.cache()).entries() {
                let full = stage.site.cache().join(path);
                assert!(entry.link.is_some() || entry.mode & 0o022 == 0, "{path:?} {:o}", entry.mode);
                if !full.starts_with(stage.model()) {
                    continue;
                }
                if let Some(link) = &entry.link {
                    assert!(link.is_relative(), "{path:?} leads to {link:?}");
                } else {
                    let expected = if full.is_dir() { 0o755 } else { of_files };
                    assert_eq!(entry.mode & 0o7777, expected, "{path:?} {:o}", entry.mode);
                }
            }
            if geteuid().is_root() {
                let read = "find -L \"$1\" -type f -exec cat {} + >/dev/null && ! touch \"$1/x\" 2>/dev/null";
                let program =
                    Program::new("sh", Path::new("/")).args(["-euc", read, "sh"]).args([stage.model()]);
                program.as_user(54321).code(0);
            }
        }
    }
}

#[test]
fn a_file_that_is_gone_or_damaged_is_fetched_again() {
    let stage = Stage::new();
    stage.add(&[]).code(0);
    let blob = fs_err::canonicalize(stage.snapshot().join(SHARD)).unwrap();
    let length = fs_err::metadata(&blob).unwrap().len();
    stage.hub.forget();
    stage.add(&[]).code(0);
    assert_eq!(stage.hub.cdn_bytes(), 0, "all of it is there");
    fs_err::remove_file(&blob).unwrap();
    stage.add(&[]).code(0);
    stage.is_whole();
    assert_eq!(stage.hub.cdn_bytes(), length);
    // By a disk, with the same length.
    let mut bytes = fs_err::read(&blob).unwrap();
    bytes[999_999] ^= 1;
    fs_err::write(&blob, bytes).unwrap();
    let verify = |more: &[&str]| {
        let words = ["model", "verify", "--full", "--cache-dir"];
        stage.at_hub(stage.site.admin(words).args([stage.site.cache()]).args(more))
    };
    verify(&[]).code(2).stdout_contains(SHARD);
    stage.hub.forget();
    verify(&["--repair"]).code(0);
    stage.is_whole();
    assert_eq!(stage.hub.cdn_bytes(), length);
    verify(&[]).code(0);
}

/// A script of Python that sees our models as its own cache, which it cannot write into.
fn python(stage: &Stage, python: &Python, folder: &Path, text: &str, offline: bool) -> Program {
    let models = stage.site.cache().join("models");
    let enter = if geteuid().is_root() { "--mount" } else { "-rm" };
    let within = "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"; shift; exec \"$@\"";
    let program = Program::new("unshare", folder)
        .args([enter, "sh", "-euc", within, "sh"])
        .args([&models])
        .args([python.program()])
        .args(["-I", "-c", text, ID]);
    let program = stage.at_hub(program);
    program
        .env("HOME", folder)
        .env("HF_HOME", folder.join("hf"))
        .env("HF_HUB_CACHE", &models)
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
}

fn reads(series: Series) -> Result<(), String> {
    // Asked for one file of a branch, the older one makes a folder for locks in the cache, if it may ask the Hub.
    const TEXT: &str = "import sys, huggingface_hub as h
folder = h.snapshot_download(sys.argv[1])
if h.constants.HF_HUB_OFFLINE or not h.__version__.startswith('0.'):
    assert h.hf_hub_download(sys.argv[1], 'sub/folder/notes.txt').startswith(folder)
assert h.hf_hub_download(sys.argv[1], 'sub/folder/notes.txt', revision=folder.rsplit('/')[-1]).startswith(folder)
found = [r.repo_id for r in h.scan_cache_dir().repos]
assert found == [sys.argv[1]], found
print(folder)";
    let client = Python::of(series)?;
    let stage = Stage::new();
    stage.add(&[]).code(0);
    let before = Tree::of(stage.site.cache());
    stage.hub.forget();
    for offline in [true, false] {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let outcome = python(&stage, client, folder.path(), TEXT, offline).run();
        if outcome.stderr.starts_with("unshare: ") {
            return Err(format!("no read-only mount: {}", outcome.stderr.trim()));
        }
        assert_eq!(outcome.exit, 0, "{outcome}");
        assert_eq!(Path::new(outcome.stdout.trim()), stage.snapshot(), "{outcome}");
        assert_eq!(stage.hub.seen().is_empty(), offline, "{:?}", stage.hub.seen());
    }
    let files = stage
        .hub
        .seen()
        .into_iter()
        .filter(|one| matches!(one.place, Place::Cdn | Place::Cache) && one.method == "GET");
    assert_eq!(files.count(), 0, "it had all of it");
    assert_eq!(before.changes(&Tree::of(stage.site.cache())), Vec::<String>::new());
    Ok(())
}

#[test]
fn the_newest_python_client_reads_our_cache() {
    or_skip!(reads(Series::New));
}

#[test]
fn the_older_python_client_reads_our_cache() {
    or_skip!(reads(Series::Old));
}

/// What the Hub's client has fetched becomes a model of ours, name by name.
fn imports(series: Series) -> Result<(), String> {
    let client = Python::of(series)?;
    let stage = Stage::new();
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let text = "import sys, huggingface_hub as h; print(h.snapshot_download(sys.argv[1]))";
    let program = client.script(folder.path(), text).args([ID]);
    let snapshot = stage.at_hub(program).code(0).stdout;
    let theirs = Path::new(snapshot.trim()).parent().unwrap().parent().unwrap();
    stage
        .site
        .admin(["model", "import", "--cache-dir"])
        .args([stage.site.cache(), theirs])
        .umask(0o077)
        .code(0);
    stage.is_whole();
    for (path, _) in stage.repo.contents() {
        let blob = |root: &Path| {
            fs_err::canonicalize(root.join("snapshots").join(&stage.commit).join(path)).unwrap()
        };
        let (own, other) = (blob(&stage.model()), blob(theirs));
        assert_eq!(own.file_name(), other.file_name(), "{path}");
        assert_ne!(fs_err::metadata(&own).unwrap().ino(), fs_err::metadata(&other).unwrap().ino());
        assert_eq!(fs_err::metadata(&own).unwrap().permissions().mode() & 0o7777, 0o755);
    }
    stage.site.admin(["model", "verify", "--full", "--cache-dir"]).args([stage.site.cache()]).code(0);
    Ok(())
}

#[test]
fn a_cache_of_the_newest_python_client_is_imported() {
    or_skip!(imports(Series::New));
}

#[test]
fn a_cache_of_the_older_python_client_is_imported() {
    or_skip!(imports(Series::Old));
}
