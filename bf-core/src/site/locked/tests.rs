//! site.lock, written and read.

use super::*;

#[test]
fn a_lock_survives_being_written_and_read_and_a_newer_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    assert_eq!(Locked::load(&layout).unwrap(), Locked::default());
    let mut locked = Locked::default();
    let files = vec![LockedFile { path: "a/b".into(), sha256: "0".repeat(64), bytes: 3, blob: None }];
    let model = LockedModel { commit: "1".repeat(40), files, ..LockedModel::default() };
    locked.models.insert("org/name".into(), model);
    let image = LockedImage {
        reference: Some("ghcr.io/org/name:1".parse().unwrap()),
        digest: None,
        sif: "images/name_1.sif".into(),
        sha256: "ab".repeat(32),
        bytes: 3,
        compression: "gzip".into(),
        partition_sha256: None,
        metadata_sha256: None,
    };
    assert_eq!(image.store_name(), "abababababab-gzip.sif");
    locked.images.insert("vllm".into(), image);
    fs_err::write(layout.site_lock(), locked.text().unwrap()).unwrap();
    assert_eq!(Locked::load(&layout).unwrap(), locked);
    let toolkit = r#"{"schema": 1, "toolkit": {"version": "1", "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}, "new": 1}"#;
    fs_err::write(layout.site_lock(), toolkit).unwrap();
    assert_eq!(Locked::load(&layout).unwrap().toolkit.unwrap().files, []);
    let image = r#"{"schema": 1, "images": {"a": {"ref": "UPPER", "sif": "a", "sha256": "", "bytes": 1}}}"#;
    fs_err::write(layout.site_lock(), image).unwrap();
    assert_eq!(Locked::load(&layout).unwrap_err().exit, Exit::Invalid);
    fs_err::write(layout.site_lock(), r#"{"schema": 2}"#).unwrap();
    assert_eq!(Locked::load(&layout).unwrap_err().exit, Exit::Invalid);
}

const FULL: &str = r#"{
  "schema": 1, "tigerflow": {"release": "r1", "lock_sha256": "00"},
  "toolkit": {"version": "1", "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "files": [{"path": "p", "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "bytes": 1}], "signed": true},
  "images": {"a": {"ref": "ghcr.io/o/n:1", "digest": null, "sif": "images/n_1.sif", "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "bytes": 1,
    "compression": "gzip", "partition_sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "metadata_sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "signature": "x"}},
  "engines": {"e": {"version": "1", "package": "p", "sha256": ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"], "python": "/p", "files": [], "cuda": "13"}},
  "models": {"o/n": {"commit": "0123456789abcdef0123456789abcdef01234567", "files": [], "access": "group:games", "license": "mit",
    "revision": "v1", "revisions": {"v2": {"commit": "0123456789abcdef0123456789abcdef01234567", "pinned": true,
      "files": [{"path": "q", "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "bytes": 1, "blob": "0123456789abcdef0123456789abcdef01234567"}]}}}}
}"#;

fn loaded(text: &str) -> Locked {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    fs_err::write(layout.site_lock(), text).unwrap();
    Locked::load(&layout).unwrap()
}

#[test]
fn what_a_newer_version_wrote_stays_until_its_thing_changes() {
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let mut locked = loaded(FULL);
    assert_eq!(value(&locked.text().unwrap()), value(FULL));

    locked.images.get_mut("a").unwrap().bytes = 2;
    locked.models.clear();
    locked.engines.clear();
    let engine = LockedEngine {
        version: "2".into(),
        package: "q".into(),
        sha256: vec![],
        python: "/p".into(),
        files: vec![],
    };
    locked.engines.insert("f".into(), engine);
    let now = value(&locked.text().unwrap());
    assert_eq!(now["tigerflow"], value(FULL)["tigerflow"]);
    assert_eq!(now["toolkit"]["signed"], true);
    assert_eq!(now["images"]["a"].get("signature"), None, "of another file");
    assert_eq!(now["models"], value("{}"));
    assert_eq!(now["engines"].as_object().unwrap().keys().collect::<Vec<_>>(), ["f"]);
    assert!(loaded(r#"{"schema": 1}"#).unknown.is_none());
}

#[test]
fn whom_a_model_was_published_for_is_written_down_and_absent_is_all() {
    let mut locked = loaded(FULL);
    let games = Access::Group("games".into());
    assert_eq!(locked.models["o/n"].access, games);
    locked.models.get_mut("o/n").unwrap().access = Access::All;
    let text = locked.text().unwrap();
    assert!(!text.contains("access"), "{text}");
    assert_eq!(loaded(&text).models["o/n"].access, Access::All);
    // Of what nobody knows it is not guessed that it is for all.
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    fs_err::write(layout.site_lock(), FULL.replace("group:games", "user:bob")).unwrap();
    assert_eq!(Locked::load(&layout).unwrap_err().exit, Exit::Invalid);
}

/// What is written has the described keys and no others.
#[test]
fn the_description_is_that_of_the_types() {
    let mut locked = loaded(FULL);
    locked.unknown = None;
    let closed = |value: &serde_json::Value| unknown::of(value, &shape::MAP);
    let written = serde_json::to_value(&locked).unwrap();
    assert_eq!(closed(&written), None);
    let reader = crate::spec::parse::Reader::new();
    let root = reader.document(&locked.text().unwrap()).unwrap();
    crate::shape::check(&reader, &root, &shape::MAP);
    assert_eq!(reader.into_findings(), []);
    for key in shape::MAP.keys {
        assert!(written.get(key.name).is_some(), "{}", key.name);
    }
    for (part, name) in [("images", "a"), ("engines", "e"), ("models", "o/n")] {
        let crate::shape::Shape::Named(_, crate::shape::Shape::Map(map)) =
            shape::MAP.keys.iter().find(|key| key.name == part).unwrap().shape
        else {
            panic!("{part}")
        };
        for key in map.keys {
            assert!(written[part][name].get(key.name).is_some(), "{part}: {}", key.name);
        }
        // A key that is said to be needed is needed.
        for key in map.keys.iter().filter(|key| key.is_required) {
            let mut without = written.clone();
            without[part][name].as_object_mut().unwrap().remove(key.name);
            assert!(serde_json::from_value::<Locked>(without).is_err(), "{part}: {}", key.name);
        }
    }
}

/// What a hostile lock would have root do: write, chmod and link outside of the cache.
#[test]
fn a_lock_that_names_what_bf_admin_never_would_is_refused() {
    let refused = |from: &str, to: &str| {
        let text = FULL.replacen(from, to, 1);
        assert_ne!(text, FULL, "{from}");
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        fs_err::write(layout.site_lock(), text).unwrap();
        let failure = Locked::load(&layout).unwrap_err();
        assert_eq!((failure.code, failure.exit), ("invalid_lock", Exit::Invalid), "{to}");
    };
    for revision in ["../v", "a b", "", "/v", "v:w"] {
        refused(r#""v1""#, &format!(r#""{revision}""#));
        refused(r#""v2""#, &format!(r#""{revision}""#));
    }
    refused(r#""v2""#, r#""main""#);
    let blob = r#""blob": "0123456789abcdef0123456789abcdef01234567""#;
    for name in ["../../../etc/passwd", "", &"A".repeat(40), &"a".repeat(64), &"a".repeat(39)] {
        refused(blob, &format!(r#""blob": "{name}""#));
    }
    for path in ["../p", "/etc/shadow", "a/../../b", "", ".", "a//b", "a/./b", "a/", "a\\u0000b"] {
        refused(r#""path": "p""#, &format!(r#""path": "{path}""#));
    }
    for sif in
        ["../n.sif", "/n.sif", "images/../n.sif", "images/.n.sif", "images/a/n.sif", "images/n", "bin/n.sif"]
    {
        refused("images/n_1.sif", sif);
    }
    for name in ["..", ".x", "a/b", "", "-x", "a b", "\\u001bx"] {
        for known in [r#""a":"#, r#""e":"#] {
            refused(known, &format!(r#""{name}":"#));
        }
        refused(r#""version": "1", "package""#, &format!(r#""version": "{name}", "package""#));
        refused(r#""version": "1", "sha256""#, &format!(r#""version": "{name}", "sha256""#));
        refused(r#""gzip""#, &format!(r#""{name}""#));
    }
    refused(r#""o/n""#, r#""../n""#);
    for hex in
        ["0", &"g".repeat(40), &"A".repeat(40), &"0".repeat(41), "../../../../../../../../../../../../x"]
    {
        let quoted = |hex: &str| format!("\"{hex}\"");
        for digits in [40, 64] {
            refused(&quoted(&"0123456789abcdef".repeat(4)[..digits]), &quoted(hex));
        }
    }
    refused(r#""/p""#, r#""p""#);
    refused(r#""/p""#, r#""/a/../p""#);
    refused(r#""schema": 1"#, r#""schema": 0"#);
}

#[test]
fn a_lock_that_others_could_have_changed_or_that_is_no_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    let path = layout.site_lock();
    let exit = || Locked::load(&layout).unwrap_err().exit;
    fs_err::write(&path, FULL).unwrap();
    crate::publish::set_mode(&path, 0o666).unwrap();
    assert_eq!(exit(), Exit::Permission);
    if nix::unistd::geteuid().is_root() {
        crate::publish::set_mode(&path, 0o644).unwrap();
        fs_err::os::unix::fs::chown(&path, Some(54_321), None).unwrap();
        assert_eq!(exit(), Exit::Permission);
    }
    let elsewhere = dir.path().join("elsewhere");
    fs_err::rename(&path, &elsewhere).unwrap();
    fs_err::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert_eq!(exit(), Exit::Invalid);
    fs_err::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    assert_eq!(exit(), Exit::Invalid);
    fs_err::remove_file(&path).unwrap();
    fs_err::File::create(&path).unwrap().set_len(Locked::MAX_BYTES + 1).unwrap();
    assert_eq!(exit(), Exit::Invalid);
}
