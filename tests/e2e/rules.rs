//! What a site asks of services: `bf-user` keeps to the cache's site.yaml, and names the rule when it refuses.

use bf_test_kit::{REPO, Site, or_skip};

#[test]
fn the_rules_of_a_site_are_kept_and_named() {
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    let declare = |more: &str| {
        site.declare(&model);
        let text = fs_err::read_to_string(site.site_yaml()).unwrap();
        site.declare_text(&format!("{text}{more}"));
    };
    let refused = |words: &[&str], exit: i32, rule: &str| {
        let outcome = site.user(["run", "text-generation", REPO]).args(words).run().one_sentence();
        assert_eq!(outcome.exit, exit, "{outcome}");
        assert!(outcome.stderr.contains(rule), "{outcome}");
    };
    declare(
        "network: {ports: 21000-21999}\nruntime: {env: {BF_OF_THE_SITE: 'yes'}}\n\
         policy: {idle_timeout: 1h, max_idle_timeout: 2h, max_services: 1, mounts: [/data]}\n",
    );
    let outcome = site.admin(["setup"]).code(0);
    assert!(outcome.stderr.contains("policy.mounts"), "nothing obeys it yet, and that is said: {outcome}");

    refused(&["--idle-timeout", "3h"], 64, "policy.max_idle_timeout");
    refused(&["--port", "80"], 64, "network.ports");
    let plan = site.user(["run", "text-generation", REPO, "--dry-run", "--json"]).code(0).json();
    assert_eq!(plan["job"]["idle_timeout"], 3600);
    assert_eq!(plan["job"]["runtime"]["env"]["BF_OF_THE_SITE"], "yes");

    let service = site.healthy(&[]);
    let shown = site.user(["details", &service.id, "--json"]).code(0).json();
    let port = shown["port"].as_u64().unwrap();
    assert!((21_000..=21_999).contains(&port), "{port}");
    refused(&[], 75, "policy.max_services");
    site.user(["stop", &service.id]).code(0);

    declare("policy: {allow_local: false}\n");
    site.admin(["setup"]).code(0);
    refused(&[], 77, "policy.allow_local");

    // Rules that anybody could have written are no rules.
    let copy = site.cache().join("site.yaml");
    let mode =
        |bits| fs_err::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(bits)).unwrap();
    mode(0o666);
    refused(&[], 77, "is not trusted");
    mode(0o644);
    // What a newer bf-admin declares of other things is no concern of who starts a service; a rule that is not known is.
    fs_err::write(&copy, "schema: 1\ncache_dir: .\nnew: 1\npolicy: {allow_local: false}\n").unwrap();
    refused(&[], 77, "policy.allow_local");
    fs_err::write(&copy, "schema: 1\ncache_dir: .\npolicy: {max_gpus: 1}\n").unwrap();
    refused(&[], 65, "max_gpus");
}

#[test]
fn a_declaration_is_checked_wherever_it_comes_from() {
    let site = Site::new();
    let faulty = "schema: 1\ncache_dir: cache\npolciy: {}\nnetwork: {ports: 1-2}\n";
    site.declare_text(faulty);
    let outcome = site.admin(["validate", "--json"]).code(65);
    let findings = outcome.json()["findings"].as_array().unwrap().clone();
    let found: Vec<_> = findings
        .iter()
        .map(|finding| {
            (finding["code"].as_str().unwrap(), finding["line"].as_u64(), finding["column"].as_u64())
        })
        .collect();
    assert_eq!(found, [("unknown_key", Some(3), Some(1)), ("invalid_ports", Some(4), Some(18))]);
    assert_eq!(findings[0]["hint"], "did you mean `policy`?");
    let of_stdin = site.program("bash").args([
        "-c",
        &format!("{} validate --json - < site.yaml", bf_test_kit::binary("bf-admin").display()),
    ]);
    assert_eq!(of_stdin.code(65).json()["findings"].as_array().unwrap().len(), 2);

    for file in ["site", "resource-specs", "site-lock"] {
        let schema = site.admin(["schema", file]).code(0).json();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let kept =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/schema/{file}.json"));
        let kept: serde_json::Value = serde_json::from_str(&fs_err::read_to_string(kept).unwrap()).unwrap();
        assert_eq!(schema, kept);
    }
}
