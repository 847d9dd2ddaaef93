//! What cannot work is refused in one sentence, with the documented exit code.

use std::net::TcpListener;
use std::time::Duration;

use bf_test_kit::{REPO, Site, or_skip};

#[test]
fn a_wrong_name_is_told_with_what_there_is() {
    let site = or_skip!(Site::provisioned());
    let run = |words: &[&str]| site.user(["run", "text-generation"]).args(words).run();
    // Misspelled by one letter.
    let outcome = run(&["HuggingFaceTB/SmolLM2-135M-Instuct-GGUF"]).one_sentence();
    assert_eq!(outcome.exit, 66, "{outcome}");
    assert!(outcome.stderr.contains(REPO), "the near name is offered: {outcome}");
    let outcome = run(&["no such/../model"]).one_sentence();
    assert!([64, 65, 66].contains(&outcome.exit), "{outcome}");
    let outcome = run(&[REPO, "--tier", "Gigantic"]).one_sentence();
    assert_eq!(outcome.exit, 66, "{outcome}");
    assert!(outcome.stderr.contains("CPU Only"), "the tiers are offered: {outcome}");
    let outcome = run(&[REPO, "--revision", "0000000000000000000000000000000000000000"]).one_sentence();
    assert_eq!(outcome.exit, 66, "{outcome}");
    for words in [["details", "ffff"], ["logs", "ffff"], ["stop", "ffff"], ["rm", "ffff"], ["wait", "ffff"]] {
        let outcome = site.user(words).run().one_sentence();
        assert_eq!(outcome.exit, 66, "{outcome}");
    }
    assert_eq!(site.user(["ls", "--all", "--json"]).code(0).json()["services"].as_array().unwrap().len(), 0);
}

#[test]
fn wrong_usage_is_64() {
    let site = Site::new();
    for words in [vec!["no-such-command"], vec!["run"], vec!["ls", "--no-such-option"], vec![]] {
        assert_eq!(site.user(&words).run().exit, 64, "bf-user {words:?}");
        assert_eq!(site.admin(&words).run().exit, 64, "bf-admin {words:?}");
    }
    for words in [["--help"], ["--version"]] {
        site.user(words).code(0);
        site.admin(words).code(0);
    }
}

#[test]
fn a_cache_that_is_not_there_is_named() {
    let site = Site::new();
    let outcome = site.user(["run", "text-generation", REPO]).run().one_sentence();
    assert_eq!(outcome.exit, 66, "{outcome}");
    assert!(outcome.stderr.contains(site.cache().to_str().unwrap()), "{outcome}");
    let unnamed = site.user(["model", "ls"]).without("BLACKFISH_CACHE_DIR").run();
    assert_ne!(unnamed.exit, 101, "{unnamed}");
}

#[test]
fn a_faulty_specification_is_an_error_and_never_the_defaults() {
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    site.declare_text(&format!(
        "schema: 1\ncache_dir: cache\nmodels: [{{repo: {REPO}, path: {}}}]\n",
        model.folder.display()
    ));
    site.admin(["setup"]).code(0);
    let specs = site.cache().join("resource_specs.yaml");
    let small =
        "name: Small, description: small, max_model_size_gb: null, gpu_count: 0, cpu_cores: 1, memory_gb: 1";
    fs_err::write(&specs, format!("partitions: {{cpu: {{default: true, tiers: [{{{small}}}]}}}}\n")).unwrap();
    let outcome = site.user(["run", "text-generation", REPO, "--partition", "nowhere"]).run().one_sentence();
    assert_eq!(outcome.exit, 66, "{outcome}");
    assert!(outcome.stderr.contains("cpu"), "the partitions are offered: {outcome}");
    fs_err::write(
        &specs,
        "partitions:\n  gpu:\n    default: true\n    tiers:\n      - name: Small\n        gpu_cuont: 1\n",
    )
    .unwrap();
    let outcome = site.user(["run", "text-generation", REPO]).run().one_sentence();
    assert_eq!(outcome.exit, 65, "{outcome}");
    assert!(outcome.stderr.contains("line "), "it names the line: {outcome}");
    assert_eq!(site.user(["tier", "ls"]).run().one_sentence().exit, 65);
    let checked = site.admin(["validate", specs.to_str().unwrap(), "--json"]).code(65).json();
    assert_eq!(checked["ok"], false);
    let finding = &checked["findings"][0];
    assert!(finding["line"].as_u64().is_some() && finding["column"].as_u64().is_some(), "{checked}");
    let missing =
        site.user(["tier", "recommend", "--size-gb", "1", "--specs", "/no/such/file"]).run().one_sentence();
    assert_eq!(missing.exit, 66, "{missing}");
}

#[test]
fn a_port_in_use_ends_the_service_with_a_sentence() {
    let site = or_skip!(Site::provisioned());
    let mine = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = mine.local_addr().unwrap().port().to_string();
    let outcome = site.user(["run", "text-generation", REPO, "--port", &port]).run();
    if outcome.exit != 0 {
        let outcome = outcome.one_sentence();
        assert!(outcome.stderr.contains(&port), "{outcome}");
        return;
    }
    let outcome = site.user(["wait", outcome.stdout.trim(), "--timeout", "30"]).code(1).one_sentence();
    assert!(outcome.stderr.contains(&format!("port {port} is in use")), "{outcome}");
}

#[test]
fn a_truncated_model_is_not_imported_and_not_served() {
    let model = or_skip!(bf_test_kit::model());
    let site = or_skip!(Site::provisioned());
    let bytes = fs_err::read(&model.gguf).unwrap();
    for length in [0, 3, 1000, bytes.len() / 2, bytes.len() - 1] {
        let file = site.path().join("short.gguf");
        fs_err::write(&file, &bytes[..length]).unwrap();
        let own = site.path().join("own-cache");
        let words = [
            "model",
            "import",
            file.to_str().unwrap(),
            "--as",
            "me/short",
            "--cache-dir",
            own.to_str().unwrap(),
        ];
        let outcome = site.admin(words).run().one_sentence();
        assert_eq!(outcome.exit, 65, "{length} bytes: {outcome}");
        assert!(!own.join("models/models--me--short").exists(), "{length} bytes");
    }
}

#[test]
fn weights_that_were_cut_later_fail_with_a_reason() {
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    site.declare(&model);
    site.admin(["setup"]).code(0);
    let blobs = site.cache().join("models/models--HuggingFaceTB--SmolLM2-135M-Instruct-GGUF");
    let find =
        site.program("find").args([blobs.to_str().unwrap(), "-type", "f", "-size", "+1000000c"]).code(0);
    let file = fs_err::OpenOptions::new().write(true).open(find.stdout.trim()).unwrap();
    file.set_len(1_000_000).unwrap();
    let outcome = site.user(["run", "text-generation", REPO]).run();
    if outcome.exit != 0 {
        assert_eq!(outcome.exit, 65, "{outcome}");
        outcome.one_sentence();
        return;
    }
    let id = outcome.stdout.trim().to_owned();
    let wait = site.user(["wait", &id, "--timeout", "60"]).code(1).one_sentence();
    assert!(wait.took < Duration::from_mins(1));
    let services = site.user(["ls", "--all", "--json"]).code(0).json();
    assert_eq!(services["services"][0]["status"], "failed", "{services}");
}

#[test]
fn wait_gives_up_in_time() {
    let site = or_skip!(Site::provisioned());
    let service = site.started(&[]);
    let outcome = site.user(["wait", &service.id, "--timeout", "0"]).run();
    assert!([0, 75].contains(&outcome.exit), "{outcome}"); // 0 on a very fast machine
}

#[test]
fn a_site_that_cannot_be_provided_is_refused() {
    let site = Site::new();
    for (text, exit) in [
        ("schema: 1\n", 65),
        ("schema: 1\ncache_dir: cache\nmodles: []\n", 65),
        ("schema: 1\ncache_dir: cache\nimages: {a: {ref: b}}\n", 65),
        ("schema: 1\ncache_dir: cache\nmodels: [{repo: a/b, path: /no/such/folder}]\n", 1),
        ("schema: 1\ncache_dir: cache\nengines: {no_such_engine: }\n", 66),
        ("a: [", 65),
    ] {
        site.declare_text(text);
        let outcome = site.admin(["setup"]).run();
        let near = if exit == 1 { [1, 65, 66] } else { [exit, exit, 1] };
        assert!(near.contains(&outcome.exit), "{text}: {outcome}");
        assert!(outcome.stderr.contains("error: "), "{text}: {outcome}");
    }
    fs_err::remove_file(site.site_yaml()).unwrap();
    let outcome = site.admin(["setup"]).run().one_sentence();
    assert!([64, 66].contains(&outcome.exit), "{outcome}");
    let outcome = site.admin(["setup", "--site", "/no/such/site.yaml"]).run().one_sentence();
    assert_eq!(outcome.exit, 66, "{outcome}");
}
