//! Models of the Hub in the shared cache: `model add`, `setup` with declared ones, and what is said of those that cannot be had.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bf_test_kit::hub::{Content, Fault, Hub, Place, Repo};
use bf_test_kit::{Outcome, Program, Site};
use nix::unistd::geteuid;
use serde_json::{Value, json};

const REPO: &str = "Org/Name";
const FOLDER: &str = "models--Org--Name";

fn weights(seed: u64) -> Content {
    Content::safetensors(seed, &[("w", "BF16", &[100, 90])])
}

/// A model with what is wanted of it and what is not.
fn repo(id: &str, seed: u64) -> Repo {
    Repo::new(id)
        .file("config.json", "{\"model_type\": \"llama\"}")
        .file("LICENSE", "Apache License\nVersion 2.0, January 2004\n")
        .file("sub/notes.txt", "some notes\n")
        .file("model.safetensors", weights(seed))
        .file("pytorch_model.bin", Content::noise(9, 30_000))
        .file("onnx/model.onnx", Content::noise(8, 20_000))
        .file("name.Q4_K_M.gguf", gguf(1))
        .card(json!({"license": "apache-2.0", "pipeline_tag": "text-generation"}))
}

/// The smallest whole GGUF model; `salt` makes another one of it.
fn gguf(salt: u32) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(9_u64.to_le_bytes());
    bytes.extend(b"test.salt");
    bytes.extend(4_u32.to_le_bytes());
    bytes.extend(salt.to_le_bytes());
    bytes
}

fn admin(site: &Site, hub: &Hub, words: &[&str]) -> Program {
    let cache = site.cache().to_str().unwrap().to_owned();
    let words = words.iter().copied().chain(["--cache-dir", &cache]);
    site.admin(words).env("HF_ENDPOINT", hub.endpoint())
}

fn add(site: &Site, hub: &Hub, words: &[&str]) -> Program {
    admin(site, hub, &[&["model", "add"][..], words].concat())
}

fn snapshot(site: &Site, commit: &str) -> PathBuf {
    site.cache().join("models").join(FOLDER).join("snapshots").join(commit)
}

fn lock(site: &Site) -> Value {
    serde_json::from_slice(&fs_err::read(site.cache().join("site.lock")).unwrap()).unwrap()
}

/// The paths of a snapshot, each checked to be what was published.
#[track_caller]
fn files(site: &Site, commit: &str, repo: &Repo) -> Vec<String> {
    let root = snapshot(site, commit);
    let there = repo.contents().filter(|(path, _)| root.join(path).exists());
    let paths = there.map(|(path, content)| {
        assert_eq!(content.same_as(&root.join(path)), Ok(()), "{path}");
        path.to_owned()
    });
    let mut paths: Vec<String> = paths.collect();
    paths.sort();
    paths
}

#[track_caller]
fn refused(program: &Program, exit: i32, code: &str) -> String {
    let mut program = program.clone();
    program = program.args(["--json"]);
    let outcome = program.code(exit);
    let said = outcome.json();
    let error = said.get("error").unwrap_or(&said);
    assert_eq!(error["code"], code, "{outcome}");
    format!("{} | {}", error["message"].as_str().unwrap(), error["hint"].as_str().unwrap_or_default())
}

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Bytes of files that were sent.
fn sent(hub: &Hub) -> u64 {
    let seen = hub.seen();
    let files = seen.iter().filter(|one| one.file.is_some() && matches!(one.status, 200 | 206));
    files.map(|one| one.bytes).sum()
}

/// What a run says of its first action.
fn action(outcome: &Outcome) -> Value {
    outcome.json()["actions"][0].clone()
}

#[test]
fn a_model_is_added_as_the_dry_run_says_and_a_second_time_nothing_is_done() {
    let (site, hub) = (Site::new(), Hub::start());
    let published = repo(REPO, 1);
    let commit = hub.publish(published.clone());
    let planned = add(&site, &hub, &[REPO, "--dry-run", "--json"]).code(0);
    assert!(!site.cache().exists());
    let before = action(&planned);
    assert_eq!((&before["state"], &before["download"]["commit"]), (&json!("planned"), &json!(commit)));
    let fetched = before["download"]["fetch_bytes"].as_u64().unwrap();
    assert_eq!(before["download"]["left_out_bytes"].as_u64().unwrap(), 50_000 + gguf(1).len() as u64);
    let said = add(&site, &hub, &[REPO, "--dry-run"]).code(0);
    let lines = "Org/Name: left out: 3 files, which saves 50.0 kB\n";
    let said = said.stdout_contains(lines).stdout_contains("for another runtime: 20.0 kB: onnx/model.onnx");
    assert!(said.stdout.ends_with("1 change to be done\n"), "{said}");

    hub.forget();
    let done = add(&site, &hub, &[REPO, "--json"]).umask(0o077).code(0);
    assert_eq!(action(&done)["download"], before["download"]);
    assert!(done.stderr.contains("Org/Name: left out: 3 files"), "{done}");
    let sent = sent(&hub);
    assert_eq!(sent, fetched);
    assert_eq!(
        files(&site, &commit, &published),
        ["LICENSE", "config.json", "model.safetensors", "sub/notes.txt"]
    );
    let model = site.cache().join("models").join(FOLDER);
    assert_eq!(fs_err::read_to_string(model.join("refs/main")).unwrap(), commit);
    for (path, expected) in [("", 0o755), ("blobs", 0o755), ("snapshots", 0o755), ("refs/main", 0o755)] {
        assert_eq!(mode(&model.join(path)), expected, "{path}");
    }
    assert_eq!(mode(&snapshot(&site, &commit).join("sub/notes.txt")), 0o755);
    let record = site.cache().join(format!("models/.meta/{FOLDER}/{commit}.json"));
    let kept: Value = serde_json::from_slice(&fs_err::read(&record).unwrap()).unwrap();
    assert_eq!(
        (&kept["license"], &kept["pipeline_tag"], mode(&record)),
        (&json!("apache-2.0"), &json!("text-generation"), 0o644)
    );
    let downloads = site.cache().join("models/.downloads");
    assert!(!downloads.exists(), "nothing is on its way");

    hub.forget();
    let again = add(&site, &hub, &[REPO]).code(0).stdout_contains("is there already");
    assert!(again.stdout.ends_with("nothing to do\n"), "{again}");
    assert_eq!(hub.seen().len(), 1);
    admin(&site, &hub, &["model", "verify", "--full"]).code(0);
    admin(&site, &hub, &["status", "--full"]).code(0);
    admin(&site, &hub, &["permissions", "check"]).code(0);

    admin(&site, &hub, &["model", "rm", REPO, "--force"]).code(0);
    assert!(!model.exists() && !record.exists());
}

#[test]
fn a_quieter_mode_of_files_is_obeyed_and_other_names_lead_to_the_canonical_one() {
    let (site, hub) = (Site::new(), Hub::start());
    let published = repo(REPO, 1).formerly("old/name");
    let commit = hub.publish(published.clone());
    site.declare_text("schema: 1\ncache_dir: cache\nfile_mode: '0644'\n");
    site.admin(["setup", "--only", "site"]).code(0);
    let said = add(&site, &hub, &["old/name"]).umask(0o077).code(0);
    assert!(said.stderr.contains("the Hub calls old/name Org/Name"), "{said}");
    assert_eq!(mode(&snapshot(&site, &commit).join("config.json")), 0o644);
    assert_eq!(mode(&snapshot(&site, &commit).join("sub")), 0o755);
    add(&site, &hub, &["org/name"]).code(0).stdout_contains("nothing to do");
    let names: Vec<String> = lock(&site)["models"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, [REPO]);
    site.declare_text("schema: 1\ncache_dir: cache\nmodels: [{repo: old/name}]\n");
    let setup = site.admin(["setup", "--only", "models"]).env("HF_ENDPOINT", hub.endpoint());
    let failed = setup.code(65);
    assert!(failed.stderr.contains("declare it as `repo: Org/Name`"), "{failed}");
}

#[test]
fn what_cannot_be_had_says_why_and_what_to_do() {
    let (site, hub) = (Site::new(), Hub::start());
    hub.publish(repo("org/gated", 1).gated());
    hub.publish(repo("org/private", 2).private());
    hub.publish(repo("org/disabled", 3).disabled());
    hub.publish(
        Repo::new("org/pickle").file("config.json", "{}").file("pytorch_model.bin", Content::noise(1, 999)),
    );
    hub.publish(repo(REPO, 4));
    let token = hub.token("alice", &["org/gated", "org/private"]);
    let stranger = hub.token("bob", &[]);
    let with = |id: &str, token: &str| add(&site, &hub, &[id]).env("HF_TOKEN", token);

    let said = refused(&add(&site, &hub, &["org/gated"]), 77, "model_gated");
    assert!(said.contains(&format!("{}/org/gated", hub.endpoint())) && said.contains("HF_TOKEN"), "{said}");
    let said = refused(&with("org/gated", &stranger), 77, "model_gated");
    assert!(said.contains("ask for access at"), "{said}");
    refused(&with("org/gated", &token), 65, "access_not_given");
    refused(&add(&site, &hub, &["org/private"]), 66, "model_not_found");
    refused(&with("org/private", &stranger), 66, "model_not_found");
    refused(&with("org/private", &token), 65, "access_not_given");
    let said = refused(&add(&site, &hub, &["org/none"]), 66, "model_not_found");
    assert!(said.contains("or it is private"), "{said}");
    refused(&add(&site, &hub, &["org/disabled"]), 77, "model_disabled");
    refused(&add(&site, &hub, &[&format!("{REPO}@v9")]), 66, "revision_not_found");
    let said = refused(&add(&site, &hub, &["org/pickle"]), 65, "pickle_refused");
    assert!(said.contains("--allow-pickle") && said.contains("site.yaml"), "{said}");
    refused(&add(&site, &hub, &[REPO]).env("HF_HUB_OFFLINE", "1"), 69, "hub_offline");
    refused(&add(&site, &hub, &[REPO]).env("HF_TOKEN", "hf_nobodys"), 77, "hub_token_refused");
    refused(&add(&site, &hub, &[REPO]).env("HF_ENDPOINT", "http://127.0.0.1:9"), 69, "hub_unreachable");
    refused(&add(&site, &hub, &[REPO, REPO]), 64, "usage");
    // Nothing of it came into the cache, and nobody wrote the token down.
    assert!(!site.cache().join("models").exists() || !site.cache().join("site.lock").exists());
    let audit = fs_err::read_to_string(site.cache().join("audit.jsonl")).unwrap();
    assert!(!audit.contains("TokenOfTheTests") && !hub.token_at_cdn(), "{audit}");

    let two = add(&site, &hub, &["org/none", "org/pickle", "--allow-pickle"]).code(1);
    assert!(two.stdout.contains("1 change, 1 failed"), "{two}");
    // For a group only: nothing of it is for others, not even what is known of it.
    if geteuid().is_root() {
        with("org/gated", &token).args(["--access", "group:daemon"]).code(0);
        let models = site.cache().join("models");
        for path in ["models--org--gated", ".meta/models--org--gated"] {
            assert_eq!(mode(&models.join(path)), 0o750, "{path}");
        }
        let records = fs_err::read_dir(models.join(".meta/models--org--gated")).unwrap();
        for record in records {
            assert_eq!(mode(&record.unwrap().path()), 0o640);
        }
        refused(&with("org/gated", &token).args(["--access", "all"]), 65, "access_differs");
        admin(&site, &hub, &["model", "rm", "org/gated", "--force"]).code(0);
    }
    for id in ["org/gated", "org/private"] {
        let added = with(id, &token).args(["--access", "all"]).code(0);
        assert!(added.stderr.contains("its licence says who may use it"), "{added}");
        // What is there is asked for no more than its listing, and is no news.
        with(id, &token).code(0).stdout_contains("nothing to do");
    }
}

#[test]
fn what_is_wanted_of_a_model_is_what_comes() {
    let (site, hub) = (Site::new(), Hub::start());
    let published = repo(REPO, 1).file("name.Q8_0.gguf", gguf(2));
    let commit = hub.publish(published.clone());
    let dry = |words: &[&str]| -> Vec<String> {
        let planned = add(&site, &hub, &[&[REPO, "--dry-run", "--json"], words].concat()).code(0);
        let files = action(&planned)["download"]["files"].as_array().unwrap().clone();
        files.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
    };
    let small = ["LICENSE", "config.json"];
    let weights = |words: &[&str]| {
        let files = dry(words);
        assert!(small.iter().all(|path| files.iter().any(|file| file == path)), "{files:?}");
        files.into_iter().filter(|file| file.contains("odel.") || file.contains("gguf")).collect::<Vec<_>>()
    };
    assert_eq!(weights(&["--format", "gguf"]).len(), 1);
    assert_eq!(weights(&["--include", "*Q8_0*"]), ["name.Q8_0.gguf"]);
    assert_eq!(
        weights(&["--include", "*Q4*", "--include", "onnx/"]),
        ["name.Q4_K_M.gguf", "onnx/model.onnx"]
    );
    let all = dry(&["--all", "--exclude", "onnx/"]);
    assert!(all.contains(&"name.Q8_0.gguf".to_owned()) && !all.iter().any(|path| path.contains("onnx")));
    assert!(!all.contains(&"pytorch_model.bin".to_owned()));
    assert!(!dry(&["--exclude", "sub/"]).contains(&"sub/notes.txt".to_owned()));

    // What is added to the same commit stays beside what is there.
    add(&site, &hub, &[REPO]).code(0);
    add(&site, &hub, &[REPO, "--include", "*Q4*"]).code(0);
    let files = files(&site, &commit, &published);
    assert_eq!(files, ["LICENSE", "config.json", "model.safetensors", "name.Q4_K_M.gguf", "sub/notes.txt"]);
    add(&site, &hub, &[REPO]).code(0).stdout_contains("nothing to do");
    admin(&site, &hub, &["model", "verify", "--full"]).code(0);
}

#[test]
fn a_declared_model_is_fetched_and_stays_at_its_commit_until_it_is_updated() {
    let (site, hub) = (Site::new(), Hub::start());
    let first = repo(REPO, 1);
    let commit = hub.publish(first.clone());
    site.declare_text("schema: 1\ncache_dir: cache\nmodels: [{repo: Org/Name}]\n");
    let setup = |words: &[&str]| {
        let words = [&["setup", "--only", "models,site"], words].concat();
        site.admin(words).env("HF_ENDPOINT", hub.endpoint())
    };
    let planned = setup(&["--dry-run", "--json"]).code(0);
    let action =
        planned.json()["actions"].as_array().unwrap().iter().find(|one| one["kind"] == "model").cloned();
    let fetched = action.unwrap()["download"]["fetch_bytes"].as_u64().unwrap();
    hub.forget();
    setup(&[]).code(0);
    let sent = sent(&hub);
    assert_eq!(sent, fetched);
    assert_eq!(files(&site, &commit, &first).len(), 4);

    let second = repo(REPO, 2);
    let newer = hub.publish(second.clone());
    hub.forget();
    setup(&[]).code(0).stdout_contains("nothing to do");
    assert_eq!(hub.seen().len(), 0);
    // What is lost comes again from the commit of the lock.
    let blob = fs_err::canonicalize(snapshot(&site, &commit).join("model.safetensors")).unwrap();
    fs_err::remove_file(&blob).unwrap();
    setup(&[]).code(0);
    assert_eq!(files(&site, &commit, &first).len(), 4);
    assert_eq!(lock(&site)["models"][REPO]["commit"], json!(commit));

    // Another cache, by the same lock.
    let text = fs_err::read(site.cache().join("site.lock")).unwrap();
    fs_err::remove_dir_all(site.cache()).unwrap();
    fs_err::create_dir(site.cache()).unwrap();
    fs_err::write(site.cache().join("site.lock"), text).unwrap();
    setup(&["--locked"]).code(0);
    assert_eq!(files(&site, &commit, &first).len(), 4);

    setup(&["--update", REPO]).code(0).stdout_contains("replaces");
    assert_eq!(lock(&site)["models"][REPO]["commit"], json!(newer));
    assert_eq!(files(&site, &newer, &second).len(), 4);
    setup(&["--update", REPO]).code(0).stdout_contains("nothing to do");

    // Who may not read it any more may not read what is known of it either.
    if geteuid().is_root() {
        let record = site.cache().join(format!("models/.meta/{FOLDER}/{newer}.json"));
        assert_eq!(mode(&record), 0o644);
        site.declare_text(
            "schema: 1\ncache_dir: cache\nmodels: [{repo: Org/Name, access: 'group:daemon'}]\n",
        );
        setup(&[]).code(0);
        assert_eq!((mode(&record), mode(record.parent().unwrap())), (0o640, 0o750));
        setup(&[]).code(0).stdout_contains("nothing to do");
    }
}

#[test]
fn a_damaged_file_is_fetched_again_by_its_commit() {
    let (site, hub) = (Site::new(), Hub::start());
    let first = repo(REPO, 1);
    let commit = hub.publish(first.clone());
    add(&site, &hub, &[REPO]).code(0);
    hub.publish(repo(REPO, 2));
    for (path, damage) in [("model.safetensors", None), ("config.json", Some("{\"model_type\": \"LLAMA\"}"))]
    {
        let blob = fs_err::canonicalize(snapshot(&site, &commit).join(path)).unwrap();
        match damage {
            None => fs_err::remove_file(&blob).unwrap(),
            Some(text) => fs_err::write(&blob, text).unwrap(),
        }
    }
    admin(&site, &hub, &["model", "verify", "--full"]).code(2);
    let offline = admin(&site, &hub, &["model", "verify", "--full", "--repair"]).env("HF_HUB_OFFLINE", "1");
    assert!(offline.code(2).stderr.contains("HF_HUB_OFFLINE"));
    hub.forget();
    admin(&site, &hub, &["model", "verify", "--full", "--repair"]).code(0);
    assert_eq!(hub.seen().iter().filter(|one| one.place == Place::Cdn).count(), 1);
    assert_eq!(files(&site, &commit, &first).len(), 4);
    admin(&site, &hub, &["model", "verify", "--full"]).code(0);
}

#[test]
fn what_came_until_a_kill_is_there_for_the_next_run() {
    const THERE: u64 = 3_000_000;
    let (site, hub) = (Site::new(), Hub::start());
    let large = Content::safetensors(1, &[("w", "BF16", &[1000, 3000])]);
    let published = Repo::new(REPO).file("config.json", "{}").file("model.safetensors", large.clone());
    let commit = hub.publish(published.clone());
    hub.fault(Fault::Stall(THERE).at(Place::Cdn));
    let mut killed = add(&site, &hub, &[REPO]).spawn();
    let downloads = site.cache().join("models/.downloads");
    let partial = format!("{}.partial", large.sha256());
    let there = || {
        let claims = fs_err::read_dir(&downloads).into_iter().flatten().flatten();
        let files =
            claims.filter_map(|claim| fs_err::metadata(claim.path().join(FOLDER).join(&partial)).ok());
        files.map(|file| file.len()).sum::<u64>()
    };
    let begun = Instant::now();
    while there() < THERE {
        assert!(begun.elapsed() < Duration::from_mins(1), "{} bytes came", there());
        std::thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    hub.heal();
    let planned = add(&site, &hub, &[REPO, "--dry-run", "--json"]).code(0);
    let left = action(&planned)["download"]["fetch_bytes"].as_u64().unwrap();
    assert!(left <= large.length() - THERE + 2, "{left}");
    hub.forget();
    add(&site, &hub, &[REPO]).code(0);
    assert_eq!(sent(&hub), left);
    assert_eq!(files(&site, &commit, &published).len(), 2);
    assert!(!downloads.exists(), "nothing is on its way");
}

#[test]
fn two_that_add_the_same_model_fetch_it_once() {
    let (site, hub) = (Site::new(), Hub::start());
    let published = repo(REPO, 1);
    let commit = hub.publish(published.clone());
    let planned = add(&site, &hub, &[REPO, "--dry-run", "--json"]).code(0);
    let fetched = action(&planned)["download"]["fetch_bytes"].as_u64().unwrap();
    hub.forget();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| add(&site, &hub, &[REPO, "--wait=60"]).code(0));
        }
    });
    let sent = sent(&hub);
    assert_eq!(sent, fetched);
    assert_eq!(files(&site, &commit, &published).len(), 4);
    assert_eq!(fs_err::metadata(site.cache().join("site.lock")).unwrap().mode() & 0o777, 0o644);
}
