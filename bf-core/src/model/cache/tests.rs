use super::*;
use crate::model::testing::Cache;

const A: &str = "aaaaaaa111111111111111111111111111111111";
const B: &str = "aaaaaaa222222222222222222222222222222222";
const M: &str = "models--org--m";

fn read(cache: &Cache) -> CachedRepo {
    repo(&cache.root(Location::Cache), &ModelId::parse("org/m").unwrap()).unwrap().unwrap()
}

/// A is old, B is new.
fn two() -> Cache {
    let cache = Cache::new();
    cache.linked(M, A, "config.json", b"{}").linked(M, B, "config.json", b"{ }");
    cache.age(&format!("{M}/snapshots/{A}"), 1000).age(&format!("{M}/snapshots/{B}"), 2000);
    cache
}

fn named(repo: &CachedRepo, name: &str) -> Result<String, ModelError> {
    repo.revision(&Revision::parse(name).unwrap()).map(|revision| revision.commit.clone())
}

#[test]
fn main_decides_else_the_newest() {
    let cache = two();
    assert_eq!(read(&cache).default_revision().unwrap().commit, B);
    cache.file(&format!("{M}/refs/main"), A.as_bytes());
    assert_eq!(read(&cache).default_revision().unwrap().commit, A);
    // A ref to a commit that is not on disk decides nothing.
    cache.file(&format!("{M}/refs/main"), "c".repeat(40).as_bytes());
    assert_eq!(read(&cache).default_revision().unwrap().commit, B);
}

#[test]
fn the_newest_that_is_all_there_comes_before_the_newest() {
    let cache = two();
    cache.link(&format!("{M}/snapshots/{B}/model.safetensors"), "../../blobs/gone");
    cache.age(&format!("{M}/snapshots/{B}"), 2000);
    assert_eq!(read(&cache).default_revision().unwrap().commit, A);
}

#[test]
fn revisions_are_found_by_commit_prefix_and_ref() {
    let cache = two();
    cache
        .file(&format!("{M}/refs/main"), format!("{A}\n").as_bytes())
        .file(&format!("{M}/refs/refs/pr/1"), B.as_bytes());
    let repo = read(&cache);
    for (name, commit) in [(A, A), ("aaaaaaa2", B), ("AAAAAAA1", A), ("main", A), ("refs/pr/1", B)] {
        assert_eq!(named(&repo, name).unwrap(), commit, "{name}");
    }
    assert!(matches!(named(&repo, "aaaaaaa"), Err(ModelError::AmbiguousRevision { .. })));
    let Err(ModelError::RevisionNotFound { there, .. }) = named(&repo, "aaaaaa") else {
        panic!("a short prefix fits")
    };
    assert_eq!(there, [format!("{B} (refs/pr/1)"), format!("{A} (main)")]);
}

#[test]
fn hostile_refs_lead_nowhere() {
    let cache = two();
    cache.file(&format!("{M}/refs/main"), b"../../../../etc").file(&format!("{M}/refs/big"), &[b'a'; 9999]);
    cache.link(&format!("{M}/refs/link"), "/etc/hostname").file(&format!("{M}/refs/bin"), &[0xff, 0]);
    assert!(read(&cache).refs.is_empty());
}

#[test]
fn partial_blobs_make_the_newest_incomplete() {
    let cache = two();
    cache.file(&format!("{M}/blobs/0123.incomplete"), b"x");
    let repo = read(&cache);
    let error = repo.snapshot(&repo.revisions[0]).unwrap_err();
    assert!(error.to_string().contains("blobs/0123.incomplete"), "{error}");
    assert!(repo.snapshot(&repo.revisions[1]).is_ok());
}

#[test]
fn partial_blobs_of_a_revision_to_come_hurt_nobody() {
    let cache = two();
    cache
        .file(&format!("{M}/blobs/0123.incomplete"), b"x")
        .file(&format!("{M}/refs/main"), "c".repeat(40).as_bytes());
    assert_eq!(read(&cache).ready().count(), 2);
}

#[test]
fn partial_blobs_that_were_finished_later_hurt_nobody() {
    let cache = two();
    cache.file(&format!("{M}/blobs/0123.77.incomplete"), b"x").file(&format!("{M}/blobs/0123"), b"whole");
    assert_eq!(read(&cache).ready().count(), 2);
}

#[test]
fn an_empty_snapshot_is_incomplete() {
    let cache = two();
    fs_err::create_dir(cache.path(&format!("{M}/snapshots/{}", "d".repeat(40)))).unwrap();
    let repo = read(&cache);
    assert!(matches!(repo.snapshot(&repo.revisions[0]), Err(ModelError::Incomplete { .. })));
}

#[test]
fn odd_folders_are_listed_or_reported_and_never_fatal() {
    let cache = Cache::new();
    for folder in [
        "models--gpt2",
        "models--org--my--model",
        "models--a--b",
        "datasets--a--b",
        "models--",
        "models--..--x",
        ".locks",
    ] {
        fs_err::create_dir(cache.path(folder)).unwrap();
    }
    cache.file("models--file", b"");
    let (found, findings) = ids(&cache.root(Location::Cache));
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["gpt2", "a/b", "org/my--model"]);
    assert_eq!(findings.len(), 2, "{findings:?}");
    let gone = Root { path: "/nonexistent".into(), location: Location::Home };
    assert_eq!(ids(&gone), (vec![], vec![]));
}

#[test]
fn a_model_without_snapshots_has_no_revision() {
    let cache = Cache::new();
    fs_err::create_dir(cache.path(M)).unwrap();
    assert!(read(&cache).default_revision().is_none());
    assert!(repo(&cache.root(Location::Cache), &ModelId::parse("org/none").unwrap()).unwrap().is_none());
}
