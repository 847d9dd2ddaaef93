//! What changed behind the back of `setup` is named by `status`, with the command that mends it, and that command does.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use bf_test_kit::{REPO, Site, or_skip};
use serde_json::Value;

/// A cache with the model only, which needs no engine and no network.
fn site() -> Result<Site, String> {
    let model = bf_test_kit::model()?;
    let site = Site::new();
    site.declare_text(&format!(
        "schema: 1\ncache_dir: cache\nmodels: [{{repo: {REPO}, path: {}}}]\n",
        model.folder.display()
    ));
    site.admin(["setup"]).code(0);
    Ok(site)
}

fn model_folder(site: &Site) -> PathBuf {
    site.cache().join("models").join(format!("models--{}", REPO.replace('/', "--")))
}

/// The snapshot's folder and its link to the weights.
fn snapshot(site: &Site) -> (PathBuf, PathBuf) {
    let folder = model_folder(site);
    let commit = fs_err::read_to_string(folder.join("refs/main")).unwrap();
    let snapshot = folder.join("snapshots").join(commit);
    let mut files = fs_err::read_dir(&snapshot).unwrap().map(|entry| entry.unwrap().path());
    let weights = files.find(|path| path.extension().is_some_and(|kind| kind == "gguf")).unwrap();
    (snapshot, weights)
}

/// `state kind: detail; hint` of all that is not in sync.
fn off(site: &Site, depth: &str) -> Vec<String> {
    let status = site.admin(["status", depth, "--json"]).run().json();
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let items = status["items"].as_array().unwrap().iter();
    let off = items.filter(|item| !["present", "unmanaged"].contains(&item["state"].as_str().unwrap()));
    let off: Vec<String> = off
        .map(|item| {
            assert_ne!(text(item, "hint"), "", "every item says what mends it: {item}");
            let [state, kind, detail, hint] = ["state", "kind", "detail", "hint"].map(|key| text(item, key));
            format!("{state} {kind}: {detail}; {hint}")
        })
        .collect();
    assert_eq!(status["in_sync"], off.is_empty(), "{status}");
    off
}

/// One item that begins with `what` and holds `word`; then `bf-admin` with `mend` makes it good.
fn named_and_mended(site: &Site, depth: &str, what: &str, word: &str, mend: &[&str]) {
    let found = off(site, depth);
    assert!(found.iter().any(|line| line.starts_with(what) && line.contains(word)), "{word}: {found:?}");
    site.admin(mend).code(0);
    assert_eq!(off(site, "--full"), Vec::<String>::new(), "after {word}");
}

#[test]
fn a_flipped_byte_is_repaired_by_the_command_that_status_names() {
    let site = or_skip!(site());
    let (_, weights) = snapshot(&site);
    let mut bytes = fs_err::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&weights, &bytes).unwrap();
    assert_eq!(off(&site, "--quick"), Vec::<String>::new(), "sizes alone do not tell");
    assert_eq!(site.admin(["setup", "--full", "--dry-run", "--json"]).code(0).json()["changed"], 1);
    named_and_mended(&site, "--full", "damaged model", "`bf-admin setup --full`", &["setup", "--full"]);
}

#[test]
fn what_does_not_belong_into_a_snapshot_is_named() {
    let site = or_skip!(site());
    let (snapshot, weights) = snapshot(&site);
    let blob = fs_err::canonicalize(&weights).unwrap();
    fs_err::write(snapshot.join("modeling.py"), "import os\n").unwrap();
    named_and_mended(&site, "--quick", "drifted model", "modeling.py is foreign", &["setup"]);

    for target in [blob.clone(), "/etc/hostname".into()] {
        fs_err::remove_file(&weights).unwrap();
        symlink(&target, &weights).unwrap();
        // A link to other bytes is damage; one to the same bytes by another way is drift.
        let found = off(&site, "--quick");
        assert!(found.iter().any(|line| line.contains(" model: ")), "{found:?}");
        site.admin(["setup"]).code(0);
        assert_eq!(off(&site, "--full"), Vec::<String>::new());
    }
    fs_err::remove_file(&weights).unwrap();
    fs_err::copy(&blob, &weights).unwrap();
    named_and_mended(&site, "--quick", "drifted model", "a copy instead of a link", &["setup"]);
}

#[test]
fn an_engine_is_repaired_as_well() {
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    site.declare(&model);
    site.admin(["setup"]).code(0);
    let versions = fs_err::read_dir(site.cache().join("engines/llama_cpp")).unwrap();
    let engine = versions.map(|entry| entry.unwrap().path()).next().unwrap();
    fs_err::write(engine.join("lib/sitecustomize.py"), "import os\n").unwrap();
    named_and_mended(&site, "--quick", "drifted engine", "sitecustomize.py is foreign", &["setup"]);

    let launcher = engine.join("bin/llama-server");
    let text = fs_err::read_to_string(&launcher).unwrap();
    fs_err::write(&launcher, text.replacen("-IB", "-BI", 1)).unwrap();
    assert_eq!(off(&site, "--quick"), Vec::<String>::new(), "the size is the same");
    named_and_mended(&site, "--full", "damaged engine", "`bf-admin setup --full`", &["setup", "--full"]);
}

#[test]
fn modes_are_mended_by_chmod_and_a_lock_that_is_gone_by_setup() {
    let site = or_skip!(site());
    let refs = model_folder(&site).join("refs");
    fs_err::set_permissions(&refs, std::fs::Permissions::from_mode(0o700)).unwrap();
    let found = off(&site, "--quick");
    assert!(matches!(&found[..], [one] if one.contains("; chmod u+rwx,go+rx,o-w ")), "{found:?}");
    let command = found[0].rsplit_once("; ").unwrap().1.to_owned();
    site.program("/bin/sh").args(["-c", &command]).code(0);
    assert_eq!(off(&site, "--quick"), Vec::<String>::new());

    fs_err::remove_file(site.cache().join("site.lock")).unwrap();
    named_and_mended(&site, "--quick", "drifted model", "not in site.lock", &["setup"]);
}

#[test]
fn nothing_is_written_through_a_link() {
    let site = or_skip!(site());
    let outside = site.path().join("outside");
    fs_err::create_dir(&outside).unwrap();
    let refs = model_folder(&site).join("refs");
    for (link, words) in [
        (refs.clone(), &["setup"][..]),
        (model_folder(&site).join("blobs"), &["setup"]),
        (site.cache().join("engines"), &["setup"]),
        (site.cache().join("audit.jsonl"), &["setup", "--full"]),
    ] {
        let aside = site.path().join("aside");
        fs_err::rename(&link, &aside).unwrap();
        symlink(outside.join("target"), &link).unwrap();
        for target_is_there in [false, true] {
            assert!(!outside.join("target").exists());
            if target_is_there {
                fs_err::create_dir(outside.join("target")).unwrap();
            }
            let found = off(&site, "--quick");
            let name = link.file_name().unwrap().to_str().unwrap();
            assert!(found.iter().any(|line| line.contains(name) || line.contains("is a link")), "{found:?}");
            let dry = site.admin(words).args(["--dry-run"]).code(65);
            let real = site.admin(words).code(65);
            for outcome in [dry, real] {
                assert!(
                    outcome.stderr.contains(name) && outcome.stderr.contains("is a link to"),
                    "{outcome}"
                );
            }
        }
        // Neither made nor filled.
        fs_err::remove_dir(outside.join("target")).unwrap();
        fs_err::remove_file(&link).unwrap();
        fs_err::rename(&aside, &link).unwrap();
        site.admin(["setup"]).code(0);
        assert_eq!(off(&site, "--full"), Vec::<String>::new());
    }
}

#[test]
fn a_dry_run_fails_where_the_real_run_does() {
    let site = Site::new();
    site.declare_text("schema: 1\ncache_dir: cache\ngroup: no-such-group-here\n");
    for words in [vec!["setup", "--dry-run"], vec!["setup"]] {
        let outcome = site.admin(words).code(65).one_sentence();
        assert!(outcome.stderr.contains("no-such-group-here"), "{outcome}");
    }
    let checked = site.admin(["validate", "--json"]).code(65).json();
    assert_eq!(checked["findings"][0]["code"], "group_not_found");
    assert_eq!(checked["findings"][0]["line"], 3);
    for folder in ["/", "~/cache", "$HOME/cache", "site.yaml"] {
        site.declare_text(&format!("schema: 1\ncache_dir: \"{folder}\"\n"));
        for words in [vec!["setup", "--dry-run"], vec!["setup"], vec!["validate"]] {
            assert_eq!(site.admin(words).run().exit, 65, "{folder}");
        }
    }
}

#[test]
fn options_that_would_do_nothing_and_imports_of_the_cache_are_refused() {
    let site = or_skip!(site());
    site.admin(["setup", "--only", "engines", "--update", REPO]).code(64).one_sentence();
    let (snapshot, _) = snapshot(&site);
    let cache = site.cache().to_str().unwrap();
    for source in [site.path(), site.cache(), &snapshot] {
        let words = ["model", "import", source.to_str().unwrap(), "--as", "me/copy", "--cache-dir", cache];
        let outcome = site.admin(words).code(65).one_sentence();
        assert!(outcome.stderr.contains("the cache"), "{outcome}");
    }
    // Of another cache it is taken.
    let other = site.path().join("other");
    let words = ["model", "import", snapshot.to_str().unwrap(), "--as", REPO, "--cache-dir"];
    site.admin(words).args([&other]).code(0);
}
