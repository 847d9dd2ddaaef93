use super::*;
use crate::lock::SiteGuard;
use crate::model::testing::Gguf;
use crate::publish::{Policy, Publisher};
use crate::site::{Layout, Locked, LockedFile, LockedModel};

fn cache() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::Builder::new().prefix("a b?c#d%").tempdir().unwrap();
    let layout = Layout::new(fs_err::canonicalize(dir.path()).unwrap());
    fs_err::create_dir(layout.models()).unwrap();
    (dir, layout)
}

/// A model with weights of its own.
fn gguf_model(models: &std::path::Path, name: &str) {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let folder = models.join(format!("models--{}", name.replace('/', "--")));
    fs_err::create_dir_all(folder.join("snapshots").join(commit)).unwrap();
    fs_err::create_dir_all(folder.join("refs")).unwrap();
    fs_err::write(folder.join("refs/main"), commit).unwrap();
    let mut gguf = Gguf::new().text("general.architecture", "llama").tensor("token_embd.weight", &[32, 2], 0);
    // Of one of them it is known what it needs.
    if name.ends_with("one") {
        for (key, value) in [
            ("block_count", 30),
            ("context_length", 8192),
            ("embedding_length", 576),
            ("attention.head_count", 9),
            ("attention.head_count_kv", 3),
        ] {
            gguf = gguf.number(&format!("llama.{key}"), value);
        }
    }
    let bytes = gguf.bytes();
    fs_err::write(folder.join("snapshots").join(commit).join("model.gguf"), bytes).unwrap();
}

fn written(layout: &Layout, locked: &Locked) -> Written {
    let guard = SiteGuard::take(layout).unwrap();
    let publisher = Publisher::new(&guard, Policy::default()).unwrap();
    write(&publisher, locked).unwrap()
}

fn listed(layout: &Layout) -> Vec<serde_json::Value> {
    let root = crate::model::Root { path: layout.models(), location: crate::model::Location::Cache };
    crate::model::list(&[root]).models.iter().map(|model| serde_json::to_value(model).unwrap()).collect()
}

#[test]
fn it_says_what_the_folders_say_until_they_change() {
    let (_dir, layout) = cache();
    assert!(matches!(Catalog::open(&layout), Err(CatalogError::Missing)));
    for name in ["org/one", "org/two"] {
        gguf_model(&layout.models(), name);
    }
    let mut locked = Locked::default();
    let files = vec![LockedFile { path: "model.gguf".into(), sha256: "0".repeat(64), bytes: 3, blob: None }];
    locked
        .models
        .insert("org/one".into(), LockedModel { commit: "1".repeat(40), files, ..LockedModel::default() });
    assert_eq!(written(&layout, &locked), Written::New);
    assert_eq!(written(&layout, &locked), Written::Same);
    let catalog = Catalog::open(&layout).unwrap();
    let models: Vec<_> =
        catalog.models().unwrap().iter().map(|model| serde_json::to_value(model).unwrap()).collect();
    assert_eq!(models, listed(&layout));
    assert_eq!(models.len(), 2);
    assert_eq!((&models[0]["context_length"], &models[1]["context_length"]), (&8192.into(), &().into()));
    let per_token = |model: usize| &models[model]["memory"]["kv_cache_bytes_per_token"];
    assert_eq!((per_token(0), per_token(1)), (&23_040.into(), &().into()));
    assert_eq!(fs_err::read_link(layout.catalog()).unwrap().to_str(), Some(".catalog/1.db"));

    gguf_model(&layout.models(), "org/three");
    assert!(matches!(Catalog::open(&layout), Err(CatalogError::Stale)), "somebody added a model by hand");
    for round in 0..4 {
        fs_err::remove_dir_all(layout.models().join("models--org--three")).unwrap();
        assert_eq!(written(&layout, &locked), Written::New, "{round}");
        gguf_model(&layout.models(), "org/three");
        assert_eq!(written(&layout, &locked), Written::New, "{round}");
    }
    assert_eq!(fs_err::read_dir(layout.catalogs()).unwrap().count(), 3, "old ones go, but not the last");
    assert_eq!(catalog.models().unwrap().len(), 2, "who has one open keeps it");
    assert_eq!(Catalog::open(&layout).unwrap().models().unwrap().len(), 3);
}

#[test]
fn what_never_ends_is_not_waited_for() {
    let (_dir, layout) = cache();
    written(&layout, &Locked::default());
    let path = fs_err::canonicalize(layout.catalog()).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "DROP TABLE models; CREATE VIEW models AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
             SELECT max(i) AS repo, '' AS revision, '' AS path, 1 AS size_bytes, '' AS format, 1 AS parameters, '' AS dtype, \
             '' AS task, '' AS license, '' AS \"group\", 1 AS rowid FROM n",
        )
        .unwrap();
    drop(connection);
    assert!(matches!(Catalog::open(&layout), Err(CatalogError::Foreign(_))));
    fs_err::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    assert!(matches!(Catalog::open(&layout), Err(CatalogError::Foreign(_))));
    assert_eq!(written(&layout, &Locked::default()), Written::New);
    fs_err::remove_file(layout.catalog()).unwrap();
    fs_err::os::unix::fs::symlink("/dev/zero", layout.catalog()).unwrap();
    assert!(Catalog::open(&layout).is_err());
    assert_eq!(written(&layout, &Locked::default()), Written::New);
    assert!(Catalog::open(&layout).is_ok());
}

#[test]
fn names_that_are_not_ours_and_a_folder_in_its_place_stop_nothing() {
    let (_dir, layout) = cache();
    written(&layout, &Locked::default());
    for name in ["18446744073709551615.db", "007.db", "+8.db", "9007199254740993.db"] {
        fs_err::write(layout.catalogs().join(name), "").unwrap();
    }
    fs_err::remove_file(layout.catalog()).unwrap();
    fs_err::create_dir(layout.catalog()).unwrap();
    fs_err::write(layout.catalog().join("kept"), "").unwrap();
    assert_eq!(written(&layout, &Locked::default()), Written::New);
    assert!(Catalog::open(&layout).is_ok());
    let kept = walkdir::WalkDir::new(layout.root().join(Layout::QUARANTINE));
    assert!(kept.into_iter().any(|entry| entry.unwrap().file_name() == "kept"));
    for round in 0..4 {
        gguf_model(&layout.models(), &format!("org/model{round}"));
        assert_eq!(written(&layout, &Locked::default()), Written::New);
    }
}

#[test]
fn what_is_not_a_catalogue_of_ours_is_not_read() {
    let (_dir, layout) = cache();
    written(&layout, &Locked::default());
    let path = fs_err::canonicalize(layout.catalog()).unwrap();
    let good = fs_err::read(&path).unwrap();
    fs_err::write(&path, "this is no database at all, whatever its name says").unwrap();
    assert!(matches!(Catalog::open(&layout), Err(CatalogError::Broken(_))));
    fs_err::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(Catalog::open(&layout).is_err());
    fs_err::write(&path, &good).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 9).unwrap();
    drop(connection);
    assert!(matches!(Catalog::open(&layout), Err(CatalogError::Newer(9))));
    crate::publish::set_mode(&path, 0o666).unwrap();
    assert!(matches!(Catalog::open(&layout), Err(CatalogError::Untrusted(_))));
}
