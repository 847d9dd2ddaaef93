//! Models put into a cache, again, beside others, and taken away.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::digest;
use crate::lock::SiteGuard;
use crate::model::{Location, Root};
use crate::publish::{Policy, Publisher, set_mode};
use crate::report::Failure;
use crate::site::{Access, Layout, Locked, LockedFile, LockedRevision, Part};

const HEAD: &str = "0123456789abcdef0123456789abcdef01234567";

fn id() -> ModelId {
    ModelId::parse("org/name").unwrap()
}

struct Cache {
    _dir: tempfile::TempDir,
    layout: Layout,
    guard: SiteGuard,
}

impl Cache {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(fs_err::canonicalize(dir.path()).unwrap());
        let guard = SiteGuard::take(&layout).unwrap();
        Self { _dir: dir, layout, guard }
    }

    fn publisher(&self) -> Publisher<'_> {
        Publisher::new(&self.guard, Policy::default()).unwrap()
    }

    fn folder(&self) -> PathBuf {
        folder(&self.layout, &id())
    }

    fn put(&self, new: &New<'_>, refs: &[&str]) -> Result<LockedRevision, Failure> {
        let publisher = self.publisher();
        let stage = publisher.stage(Part::Models).unwrap();
        let made = make(&self.layout, new, stage.path(), &|_, _| ())?;
        let refs: Vec<String> = refs.iter().map(|name| (*name).to_owned()).collect();
        put(&publisher, &id(), stage.path(), &made, &refs).unwrap();
        Ok(made)
    }

    fn blobs(&self) -> BTreeSet<String> {
        let entries = fs_err::read_dir(self.folder().join("blobs")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn file(folder: &Path, path: &str, content: &[u8]) -> NewFile {
    let from = folder.join(path);
    fs_err::create_dir_all(from.parent().unwrap()).unwrap();
    fs_err::write(&from, content).unwrap();
    set_mode(&from, 0o600).unwrap();
    NewFile { path: path.into(), from, bytes: content.len() as u64, blob: None, sha256: None }
}

/// A file as the Hub names a small one.
fn small(folder: &Path, path: &str, content: &[u8]) -> NewFile {
    let (names, _) = digest::copy_named(&mut &*content, &mut std::io::sink(), content.len() as u64).unwrap();
    NewFile { blob: Some(names.git), ..file(folder, path, content) }
}

/// A file as the Hub names a large one.
fn large(folder: &Path, path: &str, content: &[u8]) -> NewFile {
    NewFile { blob: Some(digest::of_bytes(content)), ..file(folder, path, content) }
}

#[test]
fn a_model_of_the_hub_keeps_its_commit_and_the_names_of_its_blobs() {
    let (cache, from) = (Cache::new(), tempfile::tempdir().unwrap());
    let files =
        [small(from.path(), "config.json", b"{}"), large(from.path(), "sub/model.safetensors", b"weights")];
    let id = id();
    let new = New { id: &id, commit: Some(HEAD), files: &files, take: Take::Copy };
    let made = cache.put(&new, &["main", "pr/1"]).unwrap();
    assert_eq!(made.commit, HEAD);
    assert_eq!(made.files[0].blob_name().len(), 40);
    assert_eq!(made.files[0].sha256, digest::of_bytes(b"{}"));
    assert_eq!((made.files[1].blob.as_ref(), made.files[1].blob_name().len()), (None, 64));
    let snapshot = cache.folder().join("snapshots").join(HEAD);
    assert_eq!(fs_err::read(snapshot.join("sub/model.safetensors")).unwrap(), b"weights");
    assert_eq!(fs_err::read_to_string(cache.folder().join("refs/pr/1")).unwrap(), HEAD);
    assert_eq!(link_fault(&snapshot, &made.files), None);
    let own = crate::site::RevisionOf { name: None, commit: HEAD, files: &made.files };
    assert_eq!(faults(&cache.folder(), &own, true, &|_| ()), []);

    // Every way to be wrong is named, and the file with it.
    let blob = |at: usize| cache.folder().join("blobs").join(made.files[at].blob_name());
    fs_err::write(blob(0), "[]").unwrap();
    fs_err::write(blob(1), "weight").unwrap();
    fs_err::remove_file(snapshot.join("config.json")).unwrap();
    let found = faults(&cache.folder(), &own, true, &|_| ());
    let found: Vec<_> = found.iter().map(|(file, fault)| (file.path.as_str(), fault.clone())).collect();
    assert_eq!(
        found,
        [
            ("config.json", FileFault::Blob(BlobFault::Damaged)),
            ("config.json", FileFault::Link("it is missing in the snapshot".into())),
            ("sub/model.safetensors", FileFault::Blob(BlobFault::Length(6, 7))),
        ]
    );
    assert_eq!(blob_fault(&blob(0), None, true, &|_| ()), Some(BlobFault::Damaged), "by its name alone");
}

#[test]
fn what_is_not_what_its_name_says_is_refused_and_nothing_is_lost() {
    let (cache, from) = (Cache::new(), tempfile::tempdir().unwrap());
    for take in [Take::Copy, Take::Link, Take::Move] {
        for right in [small(from.path(), "a", b"abc"), large(from.path(), "a", b"abc")] {
            fs_err::write(&right.from, "abd").unwrap();
            let files = [right];
            let new = New { id: &id(), commit: Some(HEAD), files: &files, take };
            let failure = cache.put(&new, &["main"]).unwrap_err();
            assert_eq!(failure.code, "source_damaged", "{take:?}");
            assert!(failure.message.contains("/a is damaged"), "{failure}");
            assert_eq!(fs_err::read(&files[0].from).unwrap(), b"abd");
            assert!(!cache.folder().exists());
        }
    }
    assert_eq!(fs_err::read_dir(cache.layout.staging(Part::Models)).unwrap().count(), 0);
}

#[test]
fn a_linked_file_is_the_same_one_and_what_others_could_change_is_refused() {
    let (cache, from) = (Cache::new(), tempfile::tempdir_in("/var/tmp").unwrap());
    let dir = cache.layout.root().parent().unwrap().to_owned();
    let near = tempfile::tempdir_in(dir).unwrap();
    let files = [file(near.path(), "model.gguf", b"abc")];
    let new = New { id: &id(), commit: None, files: &files, take: Take::Link };
    let made = cache.put(&new, &["main"]).unwrap();
    let blob = cache.folder().join("blobs").join(&made.files[0].sha256);
    let inode = |path: &Path| fs_err::metadata(path).unwrap().ino();
    assert_eq!(inode(&blob), inode(&files[0].from));
    assert_eq!(fs_err::metadata(&blob).unwrap().mode() & 0o777, 0o755);

    let other = [file(near.path(), "other.gguf", b"abcd")];
    let new = New { files: &other, ..new };
    set_mode(&other[0].from, 0o664).unwrap();
    let failure = cache.put(&new, &["main"]).unwrap_err();
    assert_eq!(failure.code, "link_refused");
    assert!(failure.message.contains("others can write to it (mode 0664)"), "{failure}");
    // To be moved it is copied: whoever has it open goes on writing into the first one.
    let moved = cache.put(&New { take: Take::Move, ..new }, &["main"]).unwrap();
    let blob = cache.folder().join("blobs").join(&moved.files[0].sha256);
    assert_ne!(inode(&blob), inode(&other[0].from));
    assert!(other[0].from.exists(), "who asked for it removes it");
    drop(from);
}

#[test]
fn a_revision_is_kept_beside_the_one_that_users_get() {
    let mut locked = Locked::default();
    let of = |digit: &str| LockedRevision { commit: digit.repeat(40), files: vec![] };
    let mut go = |revision, declared, digit: &str| {
        let asked = Asked { revision, declared };
        let names = refs(locked.models.get("org/name"), asked);
        enter(&mut locked, &id(), asked, of(digit), Access::All);
        let own = &locked.models["org/name"];
        let all: Vec<String> =
            own.all().map(|own| format!("{}={}", own.name.unwrap_or("main"), &own.commit[..1])).collect();
        (names.join(" "), all.join(" "))
    };
    let is = |(refs, all): (String, String), wanted: (&str, &str)| {
        assert_eq!((refs.as_str(), all.as_str()), wanted);
    };
    is(go(Some("v1"), false, "1"), ("v1 main", "v1=1")); // the first is what users get
    is(go(Some("v1"), false, "2"), ("v1 main", "v1=2"));
    is(go(None, false, "3"), ("main", "main=3 v1=2"));
    is(go(Some("main"), false, "4"), ("main", "main=4 v1=2"));
    is(go(Some("v2"), false, "5"), ("v2", "main=4 v1=2 v2=5"));
    is(go(Some(HEAD), false, "6"), ("", &format!("main=4 {HEAD}=6 v1=2 v2=5")));
    is(go(Some("v2"), true, "5"), ("v2 main", &format!("v2=5 {HEAD}=6 v1=2")));
    is(go(Some("v3"), true, "7"), ("v3 main", &format!("v3=7 {HEAD}=6 v1=2")));
}

#[test]
fn a_revision_goes_with_its_refs_and_the_blobs_that_no_other_needs() {
    let (cache, from) = (Cache::new(), tempfile::tempdir().unwrap());
    let shared = file(from.path(), "config.json", b"{}");
    let mut commits = Vec::new();
    for (name, content) in [("main", &b"one"[..]), ("v2", b"two")] {
        let files = [shared.clone(), file(from.path(), "model.gguf", content)];
        let new = New { id: &id(), commit: None, files: &files, take: Take::Copy };
        commits.push(cache.put(&new, &[name]).unwrap());
    }
    assert_eq!(cache.blobs().len(), 3);
    let publisher = cache.publisher();
    let mut locked = Locked::default();
    let asked = Asked { revision: None, declared: false };
    enter(&mut locked, &id(), asked, commits[0].clone(), Access::All);
    let own = locked.models.get("org/name");
    let unused = unused_snapshots(&cache.layout, &id(), own);
    assert_eq!(
        unused.iter().map(|one| (&one.commit, one.bytes)).collect::<Vec<_>>(),
        [(&commits[1].commit, 3)]
    );
    assert_eq!(unused_blobs(&cache.layout, &id(), own), []);

    for _ in 0..2 {
        remove_revision(&publisher, &id(), &commits[1].commit, &BTreeSet::new()).unwrap();
        assert!(!cache.folder().join("refs/v2").exists());
        let names: BTreeSet<String> = commits[0].files.iter().map(|file| file.sha256.clone()).collect();
        assert_eq!(cache.blobs(), names);
    }
    fs_err::write(cache.folder().join("blobs/left.incomplete"), "half").unwrap();
    assert_eq!(unused_blobs(&cache.layout, &id(), own)[0].bytes, 4);
    for _ in 0..2 {
        remove_model(&publisher, &id()).unwrap();
        assert!(!cache.folder().exists());
    }
}

#[test]
fn more_files_of_a_commit_never_leave_readers_without_those_that_stay() {
    let (cache, from) = (Cache::new(), tempfile::tempdir().unwrap());
    let (one, two) = (small(from.path(), "config.json", b"{}"), large(from.path(), "a/model.gguf", b"abc"));
    let id = id();
    let put = |files: &[NewFile]| {
        cache.put(&New { id: &id, commit: Some(HEAD), files, take: Take::Copy }, &["main"]).unwrap()
    };
    put(std::slice::from_ref(&one));
    let snapshot = cache.folder().join("snapshots").join(HEAD);
    let inode = || fs_err::symlink_metadata(snapshot.join("config.json")).unwrap().ino();
    let before = inode();
    let made = put(&[one.clone(), two]);
    assert_eq!((link_fault(&snapshot, &made.files), inode()), (None, before));
    // What is no link of ours makes way.
    fs_err::remove_file(snapshot.join("config.json")).unwrap();
    fs_err::write(snapshot.join("config.json"), "{}").unwrap();
    let made = put(&[one]);
    assert_eq!(link_fault(&snapshot, &made.files), None);
}

#[test]
fn a_model_is_found_after_it_was_put_there_and_a_changed_one_replaces_it() {
    let cache = Cache::new();
    let root = Root { path: cache.layout.models(), location: Location::Cache };
    let mut commits = Vec::new();
    for content in [b"one", b"two", b"one"] {
        let from = tempfile::tempdir().unwrap();
        let files =
            [file(from.path(), "pytorch_model.bin", content), file(from.path(), "sub/config.json", b"{}")];
        let made =
            cache.put(&New { id: &id(), commit: None, files: &files, take: Take::Copy }, &["main"]).unwrap();
        let found = crate::model::find(std::slice::from_ref(&root), &id(), None).unwrap();
        assert_eq!(found.info.revision, made.commit);
        commits.push(made.commit);
    }
    assert_eq!(commits[0], commits[2]);
    assert_eq!(cache.blobs().len(), 3);
    assert_eq!(fs_err::read_dir(cache.layout.staging(Part::Models)).unwrap().count(), 0);
}

#[test]
fn what_was_fetched_is_taken_as_it_is_and_what_is_there_stays() {
    let (cache, from) = (Cache::new(), tempfile::tempdir().unwrap());
    let publisher = cache.publisher();
    let downloads = publisher.downloads(Part::Models, "org--name").unwrap();
    let known = |new: NewFile, content: &[u8]| NewFile { sha256: Some(digest::of_bytes(content)), ..new };
    let there = large(from.path(), "model.gguf", b"abc");
    cache
        .put(
            &New { id: &id(), commit: Some(HEAD), files: std::slice::from_ref(&there), take: Take::Copy },
            &["main"],
        )
        .unwrap();
    let blob = cache.folder().join("blobs").join(digest::of_bytes(b"abc"));
    let files = [
        known(NewFile { from: blob.clone(), ..there }, b"abc"),
        known(small(downloads.path(), "config.json", b"{}"), b"{}"),
    ];
    let stage = publisher.stage(Part::Models).unwrap();
    let new = New { id: &id(), commit: Some(HEAD), files: &files, take: Take::Fetched };
    let made = make(&cache.layout, &new, stage.path(), &|_, _| ()).unwrap();
    put(&publisher, &id(), stage.path(), &made, &["main".into()]).unwrap();
    assert!(blob.exists() && !files[1].from.exists());
    let own = crate::site::RevisionOf { name: None, commit: HEAD, files: &made.files };
    assert_eq!(faults(&cache.folder(), &own, true, &|_| ()), []);
    let expected = LockedFile {
        path: "config.json".into(),
        sha256: digest::of_bytes(b"{}"),
        bytes: 2,
        blob: files[1].blob.clone(),
    };
    assert_eq!(made.files[1], expected);
}
