//! `bf-admin setup`: once, again, and without doing it.

use std::path::Path;

use bf_test_kit::{Site, Tree, or_skip};
use serde_json::Value;

#[test]
fn a_second_setup_changes_and_fetches_nothing() {
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    site.declare(&model);
    // pip writes this file whenever it runs.
    let log = site.path().join("pip.log");
    let setup = |arguments: &[&str]| site.admin(["setup"]).args(arguments).env("PIP_LOG", &log);

    let first = setup(&["--json"]).code(0).json();
    assert_eq!(first["dry_run"], false);
    assert!(first["changed"].as_u64().unwrap() > 0, "{first}");
    let fetched = log.exists();
    if fetched {
        fs_err::remove_file(&log).unwrap();
    }
    let before = Tree::of(site.cache());
    assert!(before.entries().len() > 10, "{before:?}");

    let second = setup(&["--json"]).code(0);
    assert_eq!(second.json()["changed"], 0, "{second}");
    assert_eq!(before.changes(&Tree::of(site.cache())), Vec::<String>::new());
    assert!(fetched && !log.exists(), "pip ran at first ({fetched}) and not again");
    let spoken = setup(&[]).code(0);
    assert!(
        (spoken.stdout + &spoken.stderr).to_lowercase().contains("nothing"),
        "it says that nothing changed"
    );
    // As things are: status agrees, by sizes and byte by byte.
    for depth in ["--quick", "--full"] {
        let status = site.admin(["status", depth, "--json"]).code(0).json();
        assert_eq!(status["in_sync"], true, "{status}");
    }
    // A dry run agrees as well.
    assert_eq!(setup(&["--dry-run", "--json"]).code(0).json()["changed"], 0);
}

#[test]
fn a_dry_run_lists_what_the_real_run_then_does() {
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    site.declare(&model);
    let before = Tree::of(site.path());
    let told = site.admin(["setup", "--dry-run", "--json"]).code(0).json();
    assert_eq!(before.changes(&Tree::of(site.path())), Vec::<String>::new(), "a dry run touches nothing");
    assert_eq!(told["dry_run"], true);
    let done = site.admin(["setup", "--json"]).code(0).json();
    assert_eq!(acts(&told), acts(&done));
    assert_eq!(told["changed"], done["changed"]);
    assert!(!acts(&told).is_empty());
}

#[test]
fn every_item_says_what_became_of_it_and_why() {
    let site = Site::new();
    let dl = site.path().join("dl");
    fs_err::create_dir(&dl).unwrap();
    bf_test_kit::write_gguf(&dl.join("model.gguf"), 1).unwrap();
    let text = "schema: 1\ncache_dir: cache\nmodels: [{repo: org/good, path: dl}, {repo: org/bad, path: none}]\n\
        tigerflow: {ml: false}\nondemand: {apps_dir: apps}\n";
    site.declare_text(text);
    let warned = site.admin(["validate", "--json"]).code(0).json();
    let codes: Vec<&str> =
        warned["findings"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["path_not_found", "not_provided_yet", "not_provided_yet"]);
    let became = |report: &Value| {
        let actions = report["actions"].as_array().unwrap().iter();
        let told = actions.map(|action| {
            let text = |key: &str| action[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}{}", text("name"), text("state"), text("reason"), text("code"))
        });
        told.collect::<Vec<_>>()
    };
    let only = |words: &[&str]| site.admin(words).args(["--only", "models,site", "--json"]).code(1).json();
    let left_out = |word: &str| {
        [
            "bf-user skipped not_selected".to_owned(),
            "resource_specs.yaml skipped not_selected".to_owned(),
            format!("org/good {word}"),
            "org/bad failed file_not_found".to_owned(),
            "tigerflow skipped not_provided_yet".to_owned(),
            "blackfish skipped not_provided_yet".to_owned(),
            format!("site.yaml {word}"),
        ]
    };
    assert_eq!(became(&only(&["setup", "--dry-run"])), left_out("planned "));
    assert_eq!(became(&only(&["setup"])), left_out("done "));

    // Without the one that fails there is nothing that a site could mend.
    site.declare_text(&text.replace(", {repo: org/bad, path: none}", ""));
    let told = site.admin(["setup"]).code(0).stdout_contains("skipped  keep");
    let told = told.stdout_contains("this version cannot provide it yet").stdout_contains("unchanged");
    told.stderr_contains("this version cannot provide `tigerflow` yet");
    let status = site.admin(["status", "--json"]).code(0).json();
    assert_eq!(status["in_sync"], true, "{status}");
    let items = status["items"].as_array().unwrap().iter().filter(|item| item["reason"].is_string());
    let told: Vec<String> =
        items.map(|item| format!("{} {} {}", item["kind"], item["state"], item["reason"])).collect();
    assert_eq!(
        told,
        ["\"tigerflow\" \"missing\" \"not_provided_yet\"", "\"ondemand\" \"elsewhere\" \"not_provided_yet\""]
    );
    site.admin(["status"]).code(0).stdout_contains("in sync, but for what this version cannot provide");
}

/// What is to be done with what.
fn acts(report: &Value) -> Vec<String> {
    let text = |action: &Value, key: &str| {
        action[key].as_str().unwrap_or_else(|| panic!("{key}: {action}")).to_owned()
    };
    let actions = report["actions"].as_array().expect("actions").iter();
    actions.map(|action| ["kind", "name", "action"].map(|key| text(action, key)).join(" ")).collect()
}

#[test]
fn damage_is_found_and_repaired() {
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    site.declare_text(&format!(
        "schema: 1\ncache_dir: cache\nmodels:\n  - repo: {}\n    path: {}\n",
        bf_test_kit::REPO,
        model.folder.display()
    ));
    site.admin(["setup"]).code(0);
    let weights = weights(site.cache());
    let whole = fs_err::metadata(&weights).unwrap().len();

    // One byte, without a change of size: only the digest can tell.
    let mut bytes = fs_err::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&weights, &bytes).unwrap();
    let status = site.admin(["status", "--full", "--json"]).code(2).json();
    assert_eq!(status["in_sync"], false, "{status}");
    let all: Vec<&str> =
        status["items"].as_array().unwrap().iter().filter_map(|item| item["state"].as_str()).collect();
    assert!(all.contains(&"damaged"), "{status}");

    // A file that is too short is seen by `setup` itself.
    fs_err::write(&weights, &bytes[..1000]).unwrap();
    site.admin(["status", "--quick", "--json"]).code(2);
    let repaired = site.admin(["setup", "--json"]).code(0).json();
    assert!(repaired["changed"].as_u64().unwrap() > 0, "{repaired}");
    assert_eq!(fs_err::metadata(self::weights(site.cache())).unwrap().len(), whole);
    site.admin(["status", "--full"]).code(0);
}

/// The real file behind the model's link.
fn weights(cache: &Path) -> std::path::PathBuf {
    let folder = cache.join("models/models--HuggingFaceTB--SmolLM2-135M-Instruct-GGUF/snapshots");
    let snapshot = fs_err::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut files = fs_err::read_dir(snapshot).unwrap().map(|entry| entry.unwrap().path());
    let link = files.find(|path| path.extension().is_some_and(|kind| kind == "gguf")).unwrap();
    fs_err::canonicalize(link).unwrap()
}
