//! Who does not get it, and listings that would do harm.

use bf_test_kit::hub::Repo;

use super::{ID, SHARD, Stage, files, repo};

/// A path that leads out of wherever it is followed.
fn up(path: &str) -> String {
    format!("{}{path}", "../".repeat(12))
}

#[test]
fn gated_and_private_models_are_for_those_who_have_access() {
    for (gate, strange, word) in
        [(Repo::gated as fn(Repo) -> Repo, 77, "gated"), (Repo::private, 66, "private")]
    {
        let stage = Stage::of(ID, gate(repo(ID)));
        let (alice, bob) = (stage.hub.token("alice", &[ID]), stage.hub.token("bob", &[]));
        let page = format!("{}/{ID}", stage.hub.endpoint());
        for token in [None, Some(bob)] {
            let add = token.iter().fold(stage.add(&[]), |add, token| add.env("HF_TOKEN", token));
            let outcome = add.code(strange);
            stage.says(outcome.clone(), &[ID, word]);
            assert!(strange != 77 || outcome.stderr.contains(&page), "where access is asked for: {outcome}");
            assert_eq!(stage.hub.cdn_bytes(), 0);
            stage.has_none();
        }
        let outcome = stage.add(&[]).env("HF_TOKEN", "hf_unknownTokenOfTheTests").code(77);
        stage.says(outcome, &["token"]);
        stage.has_none();
        // Who has access does not give it to all that read the cache without saying so.
        let outcome = stage.add(&[]).env("HF_TOKEN", &alice).code(65);
        stage.says(outcome, &[ID, "--access"]);
        stage.has_none();
        stage.add(&["--access", "all"]).env("HF_TOKEN", &alice).code(0);
        stage.is_whole();
        assert!(!stage.hub.token_at_cdn() && stage.hub.seen().iter().any(|one| one.token));
        let holding: Vec<_> = files(stage.site.path())
            .into_iter()
            .filter(|path| {
                fs_err::read(path).is_ok_and(|bytes| bytes.windows(9).any(|part| part == b"hf_aliceT"))
            })
            .collect();
        assert!(holding.is_empty(), "the token is in {holding:?}");
    }
}

#[test]
fn what_is_not_there_is_named_and_nothing_is_asked_offline() {
    let stage = Stage::new();
    let outcome = stage.add(&["--revision", "none"]).code(66);
    stage.says(outcome, &[ID, "none"]);
    let mut other = Stage::of(ID, repo(ID).disabled());
    let outcome = other.add(&[]).code(77);
    other.says(outcome, &[ID, "disabled"]);
    other.id = "org/none".into();
    let outcome = other.add(&[]).code(66);
    other.says(outcome, &["org/none"]);
    stage.hub.forget();
    let outcome = stage.add(&[]).env("HF_HUB_OFFLINE", "1").code(69);
    stage.says(outcome, &["HF_HUB_OFFLINE"]);
    assert_eq!(stage.hub.seen().len(), 0);
    stage.has_none();
}

#[test]
fn a_hub_that_is_not_there_is_named() {
    let stage = Stage::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = stage.add(&[]).env("HF_ENDPOINT", format!("http://{free}")).code(69);
    stage.says(outcome, &[&free.to_string()]);
    stage.has_none();
}

#[test]
fn other_names_are_stored_under_the_one_that_counts() {
    for other in ["org/model", "old/name"] {
        let mut stage = Stage::of(ID, repo(ID).formerly("old/name"));
        stage.id = other.into();
        stage.add(&[]).code(0).stderr_contains(ID);
        stage.id = ID.into();
        stage.is_whole();
    }
}

#[test]
fn listings_that_would_do_harm_are_refused_whole() {
    let good = || repo(ID);
    let evil = |path: &str| good().file(path, "evil");
    let at = |path: &str| format!("{}/evil", Stage::new().site.path().join(path).display());
    let harmful = vec![
        ("up", evil("../evil"), "../evil"),
        ("far up", evil(&up("var/tmp/bft-evil")), "var/tmp/bft-evil"),
        ("up in the middle", evil("a/../../evil"), "a/../../evil"),
        ("absolute", evil(&at("")), "evil"),
        ("NUL", evil("a\0evil"), "control character"),
        ("backslash", evil("..\\evil"), "backslash"),
        ("control character", evil("\u{1b}[2Jevil"), "control character"),
        ("empty part", evil("a//evil"), "evil"),
        ("nothing", evil(""), "is empty"),
        ("twice", evil(SHARD), SHARD),
        ("a file and a folder", evil(&format!("{SHARD}/evil")), SHARD),
        ("hash that leads up", evil("evil").claiming_hash("../../evil"), "evil"),
        ("big hash that leads up", good().big("evil.bin", "evil").claiming_hash("../../../evil"), "evil.bin"),
        ("negative size", evil("evil").claiming_size(-5), "Org/Model"),
        ("absurd size", evil("evil").claiming_size(u64::MAX), "bytes"),
    ];
    for (name, repo, word) in harmful {
        let stage = Stage::of(ID, repo);
        let outcome = stage.add(&[]).run();
        assert_eq!(outcome.exit, 65, "{name}: {outcome}");
        assert!(!outcome.stderr.chars().any(|c| c.is_control() && c != '\n'), "{name}: {outcome:?}");
        stage.says(outcome, &[word]);
        stage.has_none();
        let found: Vec<_> = files(stage.site.path())
            .into_iter()
            .filter(|path| path.to_string_lossy().contains("evil"))
            .collect();
        assert!(found.is_empty() && !std::path::Path::new("/var/tmp/bft-evil").exists(), "{name}: {found:?}");
        assert_eq!(stage.hub.cdn_bytes(), 0);
    }
}

#[test]
fn sizes_that_are_not_those_of_the_files_are_found_out() {
    for size in [1_000_000, 9_000_000] {
        let content = super::Content::noise(5, 2_000_000);
        let stage = Stage::of(ID, repo(ID).file("extra.safetensors", content).claiming_size(size));
        let outcome = stage.add(&["--all"]).run();
        assert!([65, 69].contains(&outcome.exit), "{outcome}");
        stage.says(outcome, &["extra.safetensors"]);
        stage.has_none();
    }
}
