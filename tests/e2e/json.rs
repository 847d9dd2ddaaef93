//! What scripts read: one JSON document on standard output, with the pinned keys; streams that are closed early.

use bf_test_kit::{Program, REPO, Site, or_skip};
use serde_json::Value;

fn has(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "no `{key}` in {value:#}");
    }
}

#[test]
fn every_command_of_bf_user_has_its_keys() {
    let site = or_skip!(Site::provisioned());
    let json = |words: &[&str]| site.user(words).args(["--json"]).code(0).json();
    assert_eq!(json(&["ls"])["services"], serde_json::json!([]), "without a service");

    let run = json(&["run", "text-generation", REPO, "--name", "shapes"]);
    has(&run, &["id", "name"]);
    let id = run["id"].as_str().unwrap();
    site.user(["wait", id, "--timeout", "120"]).code(0);
    let listed = json(&["ls"]);
    let keys = ["id", "name", "status", "model", "url", "key_file", "reason", "hint", "job_id", "port"];
    has(&listed["services"][0], &keys);
    let more = ["revision", "engine", "tier", "phase", "started_at", "ends_at", "idle_timeout"];
    has(&listed["services"][0], &more);
    let key_file = listed["services"][0]["key_file"].as_str().unwrap();
    assert!(std::path::Path::new(key_file).is_file(), "{key_file}");
    assert!(listed["services"][0]["url"].as_str().unwrap().starts_with("http://"));
    let details = json(&["details", id]);
    assert!(details.to_string().contains(id), "{details}");
    has(&json(&["chat", "-m", "Hello"]), &["answer", "model", "usage"]);
    let models = json(&["model", "ls"]);
    let keys = [
        "repo",
        "revision",
        "path",
        "size_bytes",
        "format",
        "parameters",
        "dtype",
        "task",
        "license",
        "where",
    ];
    has(&models["models"][0], &keys);
    assert_eq!(models["models"][0]["context_length"], 8192, "{models}");
    assert_eq!(models["models"][0]["memory"]["kv_cache_bytes_per_token"], 23_040, "{models}");
    assert_eq!(models["models"][0]["repo"], REPO);
    assert_eq!(models["models"][0]["format"], "gguf");
    json(&["tier", "ls"]);
    for words in [vec!["tier", "recommend", REPO], vec!["tier", "recommend", "--size-gb", "0.5"]] {
        let tier = json(&words);
        has(&tier, &["partition", "tier", "source", "reason"]);
        assert_eq!(tier["source"], "size_match", "{tier}");
        has(&tier, &["model", "memory", "warnings"]);
    }
    // 30 layers * 3 heads * (64 + 64) numbers * 2 bytes, as the file's own header has it.
    let tier = json(&["tier", "recommend", REPO, "--context", "1000"]);
    assert_eq!(tier["memory"]["kv_cache_bytes_per_token"], 23_040, "{tier}");
    assert_eq!(tier["memory"]["kv_cache_bytes"], 23_040_000, "{tier}");
    assert_eq!(tier["model"]["context_length"], 8192, "{tier}");
    has(&json(&["version"]), &["version"]);
    json(&["stop", id]);
    json(&["rm", id]);
}

#[test]
fn every_command_of_bf_admin_has_its_keys() {
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    site.declare_text(&format!(
        "schema: 1\ncache_dir: cache\nmodels: [{{repo: {REPO}, path: {}}}]\n",
        model.folder.display()
    ));
    let json = |words: &[&str]| site.admin(words).args(["--json"]).code(0).json();
    let checked = json(&["validate"]);
    has(&checked, &["ok", "findings"]);
    assert_eq!(checked["ok"], true, "{checked}");
    let before = site.admin(["status", "--json"]).code(2).json();
    assert_eq!(before["in_sync"], false, "{before}");
    let setup = json(&["setup"]);
    has(&setup, &["dry_run", "changed", "actions", "site"]);
    has(&setup["actions"][0], &["kind", "name", "action", "detail", "bytes"]);
    let status = json(&["status"]);
    has(&status, &["in_sync", "items"]);
    has(&status["items"][0], &["kind", "name", "state", "detail", "path"]);
    has(&json(&["model", "ls"]), &["models"]);
    json(&["permissions", "check"]);
    has(&json(&["version"]), &["version"]);
    let own = site.path().join("own");
    let words = [
        "model",
        "import",
        model.gguf.to_str().unwrap(),
        "--as",
        "me/small",
        "--cache-dir",
        own.to_str().unwrap(),
    ];
    json(&words);
    let listed = site.admin(["model", "ls", "--json", "--cache-dir", own.to_str().unwrap()]).code(0).json();
    assert_eq!(listed["models"][0]["repo"], "me/small", "{listed}");
    let made = site.path().join("made");
    json(&["init", "--dir", made.to_str().unwrap(), "--cache-dir", "/srv/cache"]);
    site.admin(["validate", made.join("site.yaml").to_str().unwrap()]).code(0);
}

#[test]
fn a_failure_is_one_json_document_too() {
    let site = or_skip!(Site::provisioned());
    for program in [
        site.user(["run", "text-generation", "no/such-model", "--json"]),
        site.user(["details", "ffff", "--json"]),
        site.admin(["setup", "--json", "--site", "/no/such/site.yaml"]),
    ] {
        let outcome = program.run();
        let error = &outcome.json()["error"];
        has(error, &["code", "message", "hint", "exit"]);
        assert_eq!(error["exit"].as_i64(), Some(i64::from(outcome.exit)), "{outcome}");
    }
}

#[test]
fn output_that_nobody_reads_is_no_panic() {
    let site = or_skip!(Site::provisioned());
    let (admin, user) = (bf_test_kit::binary("bf-admin"), bf_test_kit::binary("bf-user"));
    for words in ["--help", "version", "tier ls", "model ls --json", "ls --all"] {
        piped(&site, &format!("'{}' {words} | head -c 0", user.display()));
        piped(&site, &format!("'{}' {words} >/dev/full", user.display()));
    }
    for words in ["--help", "version", "model ls --json"] {
        piped(&site, &format!("'{}' {words} | head -c 0", admin.display()));
    }
}

fn piped(site: &Site, line: &str) {
    let shell = Program::new("/bin/sh", site.path())
        .env("HOME", site.user_home())
        .env("BLACKFISH_HOME_DIR", site.home())
        .env("BLACKFISH_CACHE_DIR", site.cache())
        .args(["-c", line]);
    shell.run(); // it looks for panics
}
