//! What changed behind the back of `setup` is named by `status`, with the command that mends it, and that command does.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use bf_test_kit::{REPO, Site, or_skip, skip};
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
    for threads in ["1", "3"] {
        let told = site.admin(["status", "--full", "--threads", threads]).code(2);
        assert_eq!(told.stderr, "", "progress is for terminals");
        told.stdout_contains("not what site.lock says");
    }
    site.admin(["status", "--threads", "2"]).code(64);
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
    fs_err::create_dir(engine.join("lib/strange")).unwrap();
    named_and_repaired(&site, &engine.join("lib/strange"), "is foreign: no installation put it there");

    let launcher = engine.join("bin/llama-server");
    chmod(&launcher, 0o644);
    named_and_repaired(&site, &launcher, "has mode 0644 instead of 0755");
    let text = fs_err::read_to_string(&launcher).unwrap();
    fs_err::write(&launcher, text.replacen("-IB", "-BI", 1)).unwrap();
    assert_eq!(off(&site, "--quick"), Vec::<String>::new(), "the size is the same");
    named_and_mended(&site, "--full", "damaged engine", "`bf-admin setup --full`", &["setup", "--full"]);
}

/// `status` names one thing, with this path and these words; a dry run and then `setup` make one change; the next one makes none.
fn named_and_repaired(site: &Site, path: &Path, words: &str) {
    let relative = path.strip_prefix(site.cache()).unwrap().display().to_string();
    let status = site.admin(["status", "--quick", "--json"]).code(2).json();
    let items = status["items"].as_array().unwrap().iter();
    let off: Vec<&Value> = items.filter(|item| item["state"] == "drifted").collect();
    assert_eq!(off.len(), 1, "{relative}: {off:?}");
    let detail = off[0]["detail"].as_str().unwrap();
    assert!(detail.starts_with(&format!("{relative} ")) && detail.contains(words), "{relative}: {detail}");
    assert_eq!(off[0]["path"], path.to_str().unwrap());
    assert_eq!(off[0]["hint"], "`bf-admin setup` mends it");
    let acts = |outcome: Value| -> Vec<String> {
        let actions = outcome["actions"].as_array().unwrap().iter().filter(|act| act["action"] != "keep");
        actions.map(|act| format!("{} {} {}", act["action"], act["kind"], act["detail"])).collect()
    };
    let told = acts(site.admin(["setup", "--dry-run", "--json"]).code(0).json());
    let done = acts(site.admin(["setup", "--json"]).code(0).json());
    assert_eq!(told, done, "{relative}");
    assert!(matches!(&done[..], [one] if one.starts_with("\"repair\"")), "{relative}: {done:?}");
    assert_eq!(off_all(site), Vec::<String>::new(), "after {relative}");
    assert_eq!(site.admin(["setup", "--json"]).code(0).json()["changed"], 0, "after {relative}");
}

fn off_all(site: &Site) -> Vec<String> {
    off(site, "--full")
}

fn chmod(path: &Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The site's model is imported, and its source is gone: what is repaired is repaired without it.
fn site_without_source() -> Result<Site, String> {
    let site = site()?;
    let text = format!("schema: 1\ncache_dir: cache\nmodels: [{{repo: {REPO}}}]\n");
    site.declare_text(&text);
    site.admin(["setup"]).code(0);
    Ok(site)
}

#[test]
fn modes_are_named_and_set_again() {
    let site = or_skip!(site_without_source());
    let folder = model_folder(&site);
    let (snapshot, weights) = snapshot(&site);
    let blob = fs_err::canonicalize(&weights).unwrap();
    for (path, mode) in [
        (folder.clone(), 0o777),
        (folder.join("refs"), 0o700),
        (folder.join("refs/main"), 0o600),
        (snapshot, 0o500),
        (blob, 0o644),
        (site.cache().join("models"), 0o775),
        (site.cache().join("bin"), 0o700),
        (site.cache().join("site.lock"), 0o664),
        (site.cache().join("audit.jsonl"), 0o644),
        (fs_err::canonicalize(site.cache().join("bin/bf-user")).unwrap(), 0o644),
    ] {
        chmod(&path, mode);
        named_and_repaired(&site, &path, &format!("has mode {mode:04o} instead of 0"));
    }
    // What everybody could have changed says nothing of what should be there.
    let lock = site.cache().join("site.lock");
    chmod(&lock, 0o666);
    for command in ["status", "setup"] {
        site.admin([command]).code(77).one_sentence().stderr_contains("site.lock is not trusted");
    }
    chmod(&lock, 0o644);
    // Several of one thing are one item.
    chmod(&folder.join("blobs"), 0o700);
    chmod(&folder.join("refs"), 0o700);
    named_and_repaired(&site, &folder.join("blobs"), ", and 1 more");

    // Another policy is drift of all.
    let text = format!("schema: 1\ncache_dir: cache\nfile_mode: 0644\nmodels: [{{repo: {REPO}}}]\n");
    site.declare_text(&text);
    let found = off(&site, "--quick").join("\n");
    assert!(found.contains("has mode 0755 instead of 0644, and "), "{found}");
    site.admin(["setup"]).code(0);
    assert_eq!(off_all(&site), Vec::<String>::new());
}

#[test]
fn owners_and_groups_are_named_and_set_again() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root, to give things away");
    }
    let site = or_skip!(site_without_source());
    let (_, weights) = snapshot(&site);
    let blob = fs_err::canonicalize(&weights).unwrap();
    for path in [&blob, &weights, &site.cache().join("bin/bf-user"), &site.cache().join("models")] {
        std::os::unix::fs::lchown(path, Some(54_321), None).unwrap();
        named_and_repaired(&site, path, "has owner 54321 instead of root");
    }
    assert_eq!(fs_err::metadata(&blob).unwrap().permissions().mode() & 0o7777, 0o755);

    let group = nix::unistd::Group::from_name("daemon").unwrap();
    let Some(group) = group else { skip!("there is no group daemon") };
    site.declare_text(&format!("schema: 1\ncache_dir: cache\ngroup: daemon\nmodels: [{{repo: {REPO}}}]\n"));
    let found = off(&site, "--quick").join("\n");
    assert!(found.contains("has group root instead of daemon, and "), "{found}");
    site.admin(["setup"]).code(0);
    assert_eq!(off_all(&site), Vec::<String>::new());
    for path in [&blob, &weights] {
        let gid = std::os::unix::fs::MetadataExt::gid(&fs_err::symlink_metadata(path).unwrap());
        assert_eq!(gid, group.gid.as_raw());
    }
    std::os::unix::fs::lchown(&weights, None, Some(0)).unwrap();
    named_and_repaired(&site, &weights, "has group root instead of daemon");
}

#[test]
fn links_are_made_again_without_the_source() {
    let site = or_skip!(site_without_source());
    let (snapshot, weights) = snapshot(&site);
    let blob = fs_err::canonicalize(&weights).unwrap();
    fs_err::remove_file(&weights).unwrap();
    named_and_repaired(&site, &weights, "is missing");
    for target in [blob.clone(), "/etc/hostname".into(), "nowhere".into()] {
        fs_err::remove_file(&weights).unwrap();
        symlink(&target, &weights).unwrap();
        if target == Path::new("nowhere") || !target.starts_with(site.cache()) {
            // What leads to nothing or out of the cache is told once, with the model.
            assert_eq!(off(&site, "--quick").len(), 1, "{:?}", off(&site, "--quick"));
        }
        named_and_repaired(&site, &weights, "instead of its blob");
    }
    fs_err::remove_file(&weights).unwrap();
    fs_err::copy(&blob, &weights).unwrap();
    named_and_repaired(&site, &weights, "a copy instead of a link");
    let main = model_folder(&site).join("refs/main");
    let commit = fs_err::read_to_string(&main).unwrap();
    for text in ["other", ""] {
        fs_err::write(&main, text).unwrap();
        named_and_repaired(&site, &main, "does not name the revision");
    }
    fs_err::remove_file(&main).unwrap();
    named_and_repaired(&site, &main, "does not name the revision");
    assert_eq!(fs_err::read_to_string(&main).unwrap(), commit);
    fs_err::remove_dir_all(&snapshot).unwrap();
    let found = off(&site, "--quick").join("\n");
    assert!(found.contains("is missing"), "{found}");
    site.admin(["setup"]).code(0);
    assert_eq!(off_all(&site), Vec::<String>::new());
}

#[test]
fn strange_files_are_moved_away_and_not_lost() {
    let site = or_skip!(site_without_source());
    let folder = model_folder(&site);
    let (snapshot, _) = snapshot(&site);
    let quarantine = site.cache().join("models/.quarantine");
    for path in [
        snapshot.join("modeling.py"),
        snapshot.join("sub/deep.py"),
        folder.join("blobs/stray"),
        folder.join("refs/stray"),
        folder.join("snapshots/stray"),
        folder.join("notes.txt"),
    ] {
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, path.to_str().unwrap()).unwrap();
        chmod(&path, 0o644);
        let named = if path.ends_with("sub/deep.py") { path.parent().unwrap() } else { &path };
        named_and_repaired(&site, named, "is foreign: no import put it there");
        let mode = fs_err::metadata(&quarantine).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o700);
        let below = path.strip_prefix(site.cache().join("models")).unwrap();
        let mut times = fs_err::read_dir(&quarantine).unwrap().map(|entry| entry.unwrap().path().join(below));
        let kept = times.find(|kept| kept.exists()).unwrap();
        assert_eq!(fs_err::read_to_string(kept).unwrap(), path.to_str().unwrap());
    }
    // Another model is nobody's business, and an earlier revision of this one is for jobs that read it.
    let other = site.cache().join("models/models--a--b/blobs");
    let earlier = folder.join("snapshots").join("0".repeat(40));
    for made in [&other, &earlier] {
        fs_err::create_dir_all(made).unwrap();
        chmod(made, 0o755);
    }
    fs_err::write(folder.join("blobs/old"), "old").unwrap();
    chmod(&folder.join("blobs/old"), 0o755);
    symlink("../../blobs/old", earlier.join("weights")).unwrap();
    chmod(other.parent().unwrap(), 0o755);
    assert_eq!(off_all(&site), Vec::<String>::new());
    assert_eq!(site.admin(["setup", "--json"]).code(0).json()["changed"], 0);
    assert!(other.exists() && earlier.join("weights").exists());
    // What somebody else made is no earlier revision, nor is a name for one.
    if nix::unistd::geteuid().is_root() {
        let evil = folder.join("snapshots").join("e".repeat(40));
        fs_err::create_dir(&evil).unwrap();
        fs_err::write(evil.join("model.py"), "").unwrap();
        fs_err::write(folder.join("refs/evil"), "e".repeat(40)).unwrap();
        for path in [&evil, &evil.join("model.py"), &folder.join("refs/evil"), &folder.join("blobs/old")] {
            std::os::unix::fs::lchown(path, Some(54_321), None).unwrap();
        }
        let status = site.admin(["status", "--json"]).code(2).json();
        let mut items = status["items"].as_array().unwrap().iter();
        let model = items.find(|item| item["kind"] == "model" && item["state"] == "drifted").unwrap();
        assert_eq!(model["faults"].as_array().unwrap().len(), 3, "{model}");
        site.admin(["setup"]).code(0);
        assert!(!evil.exists() && !folder.join("refs/evil").exists());
    }
}

#[test]
fn a_mode_of_an_unmanaged_thing_is_shown_only_and_a_lock_that_is_gone_is_made_again() {
    let site = or_skip!(site());
    let templates = site.cache().join("templates");
    fs_err::create_dir(&templates).unwrap();
    chmod(&templates, 0o700);
    site.admin(["setup"]).code(0);
    let found = off(&site, "--quick");
    assert!(
        matches!(&found[..], [one] if one.ends_with("; `bf-admin permissions fix` sets it")),
        "{found:?}"
    );
    site.admin(["permissions", "fix"]).code(0);
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

#[test]
fn permissions_are_fixed_in_the_cache_only() {
    let site = or_skip!(site_without_source());
    let refs = model_folder(&site).join("refs");
    let own = site.cache().join("models/notes");
    fs_err::create_dir(&own).unwrap();
    chmod(&refs, 0o700);
    chmod(&own, 0o700);
    chmod(site.path(), 0o750);
    let fix = |words: &[&str]| site.admin(["permissions", "fix", "--json"]).args(words).code(2).json();
    let before = bf_test_kit::Tree::of(site.cache());
    let told = fix(&["--dry-run"]);
    assert_eq!(before.changes(&bf_test_kit::Tree::of(site.cache())), Vec::<String>::new());
    let done = fix(&[]);
    assert_eq!(told["fixed"], done["fixed"]);
    let paths: Vec<&str> =
        done["fixed"].as_array().unwrap().iter().map(|set| set["path"].as_str().unwrap()).collect();
    assert_eq!(paths, [refs.to_str().unwrap()], "what nobody declares stays closed");
    assert_eq!(fs_err::metadata(&own).unwrap().permissions().mode() & 0o7777, 0o700);
    assert_eq!(done["left"][0]["path"], site.path().to_str().unwrap(), "{done}");
    assert_eq!(fs_err::metadata(site.path()).unwrap().permissions().mode() & 0o7777, 0o750);
    assert_eq!(fix(&[])["changed"], 0);
    assert!(fs_err::read_to_string(site.cache().join("audit.jsonl")).unwrap().contains("ok: 1 paths set"));
    chmod(site.path(), 0o755);
    site.admin(["permissions", "fix"]).code(0).stdout_contains("nothing to do");
}

#[test]
fn what_one_user_can_read_is_told() {
    if nix::unistd::User::from_name("daemon").unwrap().is_none() {
        skip!("there is no user daemon");
    }
    let site = or_skip!(site_without_source());
    let checked =
        |user: &str, code| site.admin(["permissions", "check", "--json", "--as", user]).code(code).json();
    assert_eq!(checked("daemon", 0)["problems"].as_array().unwrap().len(), 0);
    let refs = model_folder(&site).join("refs");
    chmod(&refs, 0o700);
    let told = checked("daemon", 2);
    assert_eq!(told["problems"][0]["path"], refs.to_str().unwrap());
    assert_eq!(told["problems"][0]["message"], "daemon cannot enter and list it");
    assert_eq!(checked("root", 0)["as"], "root");
    chmod(site.path(), 0o750);
    let told = checked("daemon", 2);
    assert_eq!(told["problems"][0]["above_cache"], true, "{told}");
    site.admin(["permissions", "check", "--as", "no-such-user-here"]).code(66).one_sentence();
}

#[test]
fn a_model_for_a_group_is_closed_to_others_and_bothers_nobody() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root, to become other users");
    }
    let Some(group) = nix::unistd::Group::from_name("daemon").unwrap() else {
        skip!("there is no group daemon")
    };
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    let declare = |access: &str| {
        let path = model.folder.display();
        site.declare_text(&format!(
            "schema: 1\ncache_dir: cache\nmodels: [{{repo: {REPO}, path: {path}, access: {access}}}]\n"
        ));
    };
    declare("group:daemon");
    site.admin(["validate"]).code(0);
    site.admin(["setup"]).code(0);
    let folder = model_folder(&site);
    let closed = || {
        for entry in walkdir(&folder) {
            let metadata = fs_err::symlink_metadata(&entry).unwrap();
            assert_eq!(
                std::os::unix::fs::MetadataExt::gid(&metadata),
                group.gid.as_raw(),
                "{}",
                entry.display()
            );
            let mode = metadata.permissions().mode() & 0o7777;
            assert!(metadata.is_symlink() || mode == 0o750, "{}: {mode:04o}", entry.display());
        }
        assert_eq!(off_all(&site), Vec::<String>::new());
        assert_eq!(site.admin(["setup", "--json"]).code(0).json()["changed"], 0);
        site.admin(["permissions", "check"]).code(0);
    };
    closed();

    // Others are not told of it, and nothing is wrong for them.
    let program = site.path().join("bf-user");
    fs_err::copy(bf_test_kit::binary("bf-user"), &program).unwrap();
    chmod(&program, 0o755);
    let listed = |gid: &str| {
        let home = site.path().join(format!("home-{gid}"));
        fs_err::create_dir_all(&home).unwrap();
        chmod(&home, 0o777);
        let ids = ["--reuid=54321", &format!("--regid={gid}"), "--clear-groups"].map(str::to_owned);
        let outcome = bf_test_kit::Program::new("setpriv", Path::new("/"))
            .args(ids)
            .args([&program])
            .args(["model", "ls"])
            .env("BLACKFISH_CACHE_DIR", site.cache())
            .env("BLACKFISH_HOME_DIR", home.join("bf"))
            .env("HOME", &home)
            .code(0);
        assert!(!outcome.stderr.contains("warning"), "{outcome}");
        outcome.stdout.contains(REPO)
    };
    assert!(!listed("54321"), "who is not in the group does not see it");
    assert!(listed(&group.gid.to_string()), "who is in the group does");
    fs_err::remove_file(site.cache().join("catalog.db")).unwrap();
    assert!(!listed("54321") && listed(&group.gid.to_string()), "nor without a catalogue");
    site.admin(["setup"]).code(0);

    // What is opened is closed again.
    chmod(&folder, 0o755);
    named_and_repaired(&site, &folder, "has mode 0755 instead of 0750");
    let told = site.admin(["permissions", "check"]).code(0);
    told.stdout_contains("but for 1 model that is for a group");
    if nix::unistd::User::from_name("nobody").unwrap().is_some() {
        let told = site.admin(["permissions", "check", "--as", "nobody"]).code(0);
        told.stdout_contains(&format!("but not: {REPO} (group daemon)"));
        let told = site.admin(["permissions", "check", "--as", "nobody", "--json"]).code(0).json();
        assert_eq!(told["closed"][0]["name"], REPO, "{told}");
    }
    declare("all");
    let told = "access: group:daemon -> all: opens it to everybody";
    assert!(off(&site, "--quick").iter().any(|line| line.contains(told)), "{:?}", off(&site, "--quick"));
    // What was published for a group is opened by setup only.
    site.admin(["permissions", "fix"]).code(0);
    assert_eq!(fs_err::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o750);
    site.admin(["setup", "--dry-run"]).code(0).stdout_contains(told);
    site.admin(["setup"]).code(0);
    assert_eq!(fs_err::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o755);
    assert!(listed("54321"));
    declare("group:daemon");
    site.admin(["setup"]).code(0);
    closed();
    declare("group:no-such-group-here");
    site.admin(["setup"]).code(65).one_sentence();
    site.admin(["validate"]).code(65);
}

/// A folder and all that is in it.
fn walkdir(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if fs_err::symlink_metadata(&path).unwrap().is_dir() {
            found.extend(walkdir(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// A site with a model for the group daemon, which was declared and is not any more.
fn undeclared() -> Result<Site, String> {
    let model = bf_test_kit::model()?;
    let site = Site::new();
    let path = model.folder.display().to_string();
    let models = format!("models: [{{repo: {REPO}, path: {path}, access: group:daemon}}]\n");
    site.declare_text(&format!("schema: 1\ncache_dir: cache\n{models}"));
    site.admin(["setup"]).code(0);
    site.declare_text("schema: 1\ncache_dir: cache\n");
    Ok(site)
}

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_was_for_a_group_stays_closed_when_nobody_declares_it_any_more() {
    if !nix::unistd::geteuid().is_root() || nix::unistd::Group::from_name("daemon").unwrap().is_none() {
        skip!("needs root and a group daemon");
    }
    let site = or_skip!(undeclared());
    let folder = model_folder(&site);
    let stays = "is no longer declared and stays closed to group daemon";
    for _ in 0..2 {
        let told = site.admin(["setup"]).code(0).stdout_contains(stays);
        assert!(!told.stderr.contains("chmod") && !told.stderr.contains("warning"), "{told}");
        assert_eq!(off_all(&site), Vec::<String>::new());
        site.admin(["status"]).code(0).stdout_contains(stays);
        site.admin(["permissions", "check"]).code(0).stdout_contains(&format!("{REPO} {stays}"));
        site.admin(["permissions", "fix"]).code(0).stdout_contains("nothing to do");
        assert_eq!(mode(&folder), 0o750);
    }
    // What is opened is closed again, by either.
    for verb in [&["permissions", "fix"][..], &["setup"]] {
        chmod(&folder, 0o755);
        site.admin(["permissions", "check"]).code(2);
        site.admin(["status"]).code(2);
        site.admin(verb).code(0);
        assert_eq!(mode(&folder), 0o750, "{verb:?}");
    }
    // Imported again it is for whom it was; and what an older lock says nothing of stays closed too.
    let model = or_skip!(bf_test_kit::model());
    fs_err::remove_dir_all(&folder).unwrap();
    let words = ["model", "import", model.folder.to_str().unwrap(), "--as", REPO];
    site.admin(words).code(0);
    assert_eq!(mode(&folder), 0o750);
    let lock = site.cache().join("site.lock");
    let text = fs_err::read_to_string(&lock).unwrap();
    assert!(text.contains("\"access\": \"group:daemon\""), "{text}");
    let mut lock_of_old: Value = serde_json::from_str(&text).unwrap();
    lock_of_old["models"][REPO].as_object_mut().unwrap().remove("access");
    fs_err::write(&lock, lock_of_old.to_string()).unwrap();
    site.admin(["permissions", "fix"]).code(0);
    assert_eq!(mode(&folder), 0o750);
    site.admin(["permissions", "check"]).code(0).stdout_contains("is not declared and stays closed");
}

/// The cache's owner is not root, and in no other group than his own.
#[test]
fn who_is_not_in_the_group_is_told_before_anything_is_done() {
    const OWNER: u32 = 54_321;
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root, to become another user");
    }
    let Some(group) = nix::unistd::Group::from_name("daemon").unwrap() else {
        skip!("there is no group daemon")
    };
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    let tools = site.path().join("tools");
    fs_err::create_dir(&tools).unwrap();
    for name in ["bf-admin", "bf-user"] {
        fs_err::copy(bf_test_kit::binary(name), tools.join(name)).unwrap();
        chmod(&tools.join(name), 0o755);
    }
    let weights = site.path().join("weights");
    fs_err::create_dir(&weights).unwrap();
    for entry in fs_err::read_dir(&model.folder).unwrap() {
        let path = entry.unwrap().path();
        fs_err::copy(&path, weights.join(path.file_name().unwrap())).unwrap();
    }
    chmod(&weights, 0o755);
    let run_in = |groups: String, words: &[&str]| {
        bf_test_kit::Program::new("setpriv", site.path())
            .args(["--reuid=54321", "--regid=54321", &groups])
            .args([tools.join("bf-admin")])
            .args(words)
            .env("HOME", site.path())
            .run()
    };
    let run = |words: &[&str]| run_in("--clear-groups".into(), words);
    let declare = |more: &str, access: &str| {
        let model = format!("models: [{{repo: {REPO}, path: weights, access: {access}}}]\n");
        site.declare_text(&format!("schema: 1\ncache_dir: cache\n{more}{model}"));
        chmod(&site.path().join("site.yaml"), 0o644);
    };
    fs_err::create_dir_all(site.cache()).unwrap();
    std::os::unix::fs::chown(site.cache(), Some(OWNER), Some(OWNER)).unwrap();
    chmod(site.cache(), 0o755);
    // Of a cache that is still empty as well.
    declare("group: daemon\n", "all");
    for words in [&["setup", "--dry-run"][..], &["setup"]] {
        let told = run(words);
        assert!(told.exit == 77 && told.stderr.contains("is not in the group daemon"), "{told}");
    }
    declare("", "all");
    let done = run(&["setup"]);
    assert_eq!(done.exit, 0, "{done}");
    let folder = model_folder(&site);
    let published = fs_err::read_to_string(site.cache().join("site.yaml")).unwrap();
    for (more, access) in [("", "group:daemon"), ("group: daemon\n", "all")] {
        declare(more, access);
        for words in [&["setup", "--dry-run"][..], &["setup"]] {
            let told = run(words);
            assert_eq!(told.exit, 77, "{told}");
            let stderr = &told.stderr;
            assert!(stderr.contains("is not in the group daemon: files cannot be given to it"), "{told}");
            assert!(stderr.contains("usermod -aG daemon 54321"), "{told}");
        }
        let told = run(&["validate", "--json"]).json();
        assert_eq!(told["findings"][0]["code"], "not_in_group", "{told}");
        assert_eq!(told["findings"].as_array().unwrap().len(), 1, "{told}");
        assert_eq!(mode(&folder), 0o755);
        assert_eq!(fs_err::read_to_string(site.cache().join("site.yaml")).unwrap(), published);
    }

    // Who may not look into it is told so, and nothing is wrong for him.
    declare("", "group:daemon");
    site.admin(["setup"]).code(77).stderr_contains("it belongs to user 54321");
    let done = run_in(format!("--groups={}", group.gid), &["setup"]);
    assert_eq!(done.exit, 0, "{done}");
    assert_eq!(mode(&folder), 0o750);
    let gid = std::os::unix::fs::MetadataExt::gid(&fs_err::metadata(&folder).unwrap());
    assert_eq!(gid, group.gid.as_raw());
    let ids = ["--reuid=54322", "--regid=54322", "--clear-groups"];
    let told = bf_test_kit::Program::new("setpriv", site.path())
        .args(ids)
        .args([tools.join("bf-admin")])
        .args(["status"])
        .env("HOME", site.path())
        .run();
    assert_eq!(told.exit, 0, "{told}");
    told.stdout_contains("closed to you (group daemon)");
}

#[test]
fn what_cannot_be_reached_and_odd_bits_of_the_cache_are_not_in_sync() {
    let site = or_skip!(site_without_source());
    chmod(site.path(), 0o754);
    let found = off(&site, "--quick");
    assert!(matches!(&found[..], [one] if one.contains("does not let everybody through")), "{found:?}");
    site.admin(["status"]).code(2);
    chmod(site.path(), 0o755);
    for bits in [0o1775, 0o775, 0o750] {
        chmod(site.cache(), bits);
        site.admin(["permissions", "check"]).code(2).stdout_contains("instead of 0755");
        let found = off(&site, "--quick");
        assert!(matches!(&found[..], [one] if one.contains("the cache's folder has mode")), "{found:?}");
        site.admin(["permissions", "fix"]).code(0);
        assert_eq!(mode(site.cache()), 0o755);
    }
    chmod(site.cache(), 0o2755);
    assert_eq!(off_all(&site), Vec::<String>::new(), "that its group is handed on is the site's choice");
    // `check` finds what `fix` sets.
    let program = fs_err::canonicalize(site.cache().join("bin/bf-user")).unwrap();
    chmod(&program, 0o4755);
    site.admin(["permissions", "check"]).code(2).stdout_contains("has mode 4755 instead of 0755");
    site.admin(["permissions", "fix"]).code(0);
    site.admin(["permissions", "check"]).code(0);
}

#[test]
fn what_a_stranger_put_there_is_left_and_the_rest_is_set() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root, to give things away");
    }
    let site = or_skip!(site_without_source());
    let tool = site.cache().join("tool");
    fs_err::copy("/usr/bin/id", &tool).unwrap();
    let (_, weights) = snapshot(&site);
    let blob = fs_err::canonicalize(&weights).unwrap();
    let right = fs_err::read(&blob).unwrap();
    let second = site.cache().join("templates/second");
    fs_err::create_dir(site.cache().join("templates")).unwrap();
    fs_err::write(&second, "").unwrap();
    fs_err::hard_link(&second, site.path().join("second")).unwrap();
    fs_err::write(&blob, vec![b'x'; right.len()]).unwrap();
    for path in [&tool, &blob] {
        std::os::unix::fs::lchown(path, Some(54_321), Some(60)).unwrap();
    }
    chmod(&tool, 0o4777);
    chmod(&second, 0o666);
    chmod(&site.cache().join("bin"), 0o700);
    site.admin(["permissions", "check"]).code(2).stdout_contains("runs as its owner or group");
    let told = site.admin(["permissions", "fix"]).code(1);
    let told = told.stderr_contains("tool belongs to 54321").stderr_contains("second name");
    told.stderr_contains("has not the bytes of site.lock");
    let owner = |path: &Path| std::os::unix::fs::MetadataExt::uid(&fs_err::metadata(path).unwrap());
    assert_eq!((owner(&tool), mode(&tool)), (54_321, 0o4777));
    assert_eq!(owner(&blob), 54_321);
    assert_eq!(mode(&site.cache().join("bin")), 0o755);
    fs_err::remove_file(site.path().join("second")).unwrap();
    fs_err::write(&blob, right).unwrap();
    site.admin(["permissions", "fix"]).code(2);
    assert_eq!((owner(&blob), mode(&second)), (0, 0o664));
    // Of root's own file nothing stays either.
    std::os::unix::fs::lchown(&tool, Some(0), Some(0)).unwrap();
    chmod(&tool, 0o6777);
    site.admin(["permissions", "fix"]).code(0);
    assert_eq!(mode(&tool), 0o775);
}

#[test]
fn a_declaration_that_everybody_could_write_is_named_and_closed_and_not_followed() {
    let site = or_skip!(site_without_source());
    for name in ["site.yaml", "site.lock"] {
        let path = site.cache().join(name);
        chmod(&path, 0o666);
        chmod(&site.cache().join("bin"), 0o700);
        let cache = site.cache().to_str().unwrap().to_owned();
        let run = |verb: &str| site.admin(["--cache-dir", &cache, "permissions", verb]).run();
        let told = run("check");
        assert_eq!(told.exit, 2, "{told}");
        told.stdout_contains("nobody knows who wrote what is in it");
        let told = run("fix");
        assert_eq!(told.exit, 2, "{told}");
        told.stderr_contains("look at what is in it");
        assert_eq!((mode(&path), mode(&site.cache().join("bin"))), (0o664, 0o700), "{name}");
        assert_eq!(run("fix").exit, 0);
        assert_eq!((mode(&path), mode(&site.cache().join("bin"))), (0o644, 0o755), "{name}");
    }
}

#[test]
fn a_folder_where_a_blob_must_be_gives_way() {
    let site = or_skip!(site());
    let (_, weights) = snapshot(&site);
    let blob = fs_err::canonicalize(&weights).unwrap();
    fs_err::remove_file(&blob).unwrap();
    fs_err::create_dir(&blob).unwrap();
    site.admin(["setup"]).code(0);
    assert!(blob.is_file());
    assert_eq!(off_all(&site), Vec::<String>::new());
}

#[test]
fn what_is_moved_away_is_told_and_goes_into_one_folder() {
    let site = or_skip!(site_without_source());
    let (snapshot, _) = snapshot(&site);
    for name in ["a.py", "b.py", "c.py"] {
        fs_err::write(snapshot.join(name), name).unwrap();
    }
    let told = site.admin(["setup", "--dry-run"]).code(0);
    told.stdout_contains("a.py to models/.quarantine, and 2 more");
    site.admin(["setup"]).code(0).stdout_contains("a.py to models/.quarantine, and 2 more");
    let quarantine = site.cache().join("models/.quarantine");
    assert_eq!(fs_err::read_dir(&quarantine).unwrap().count(), 1);
    site.admin(["status"]).code(0).stdout_contains("what 1 run moved away");
}
