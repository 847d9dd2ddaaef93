//! Models that get into the cache and out of it again: imports of all kinds, verifying, removing, pruning.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bf_test_kit::{Program, Site, skip};
use nix::unistd::geteuid;
use serde_json::Value;

const REPO: &str = "org/name";
const FOLDER: &str = "models--org--name";
const MAIN: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER: &str = "89abcdef0123456789abcdef0123456789abcdef";

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

/// What a program of coreutils says of some bytes.
fn sum(program: &str, bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), bytes).unwrap();
    let said = Program::new(program, Path::new("/")).args([file.path()]).code(0).stdout;
    said.split(' ').next().unwrap().to_owned()
}

/// A cache of `huggingface_hub` with some revisions: its folder of the model. Weights are called by their SHA-256, small files as git does.
fn hub_cache(site: &Site, revisions: &[(&str, &str, u32)]) -> PathBuf {
    let model = site.path().join("hub").join(FOLDER);
    for (commit, name, salt) in revisions {
        let snapshot = model.join("snapshots").join(commit);
        for (path, content) in [
            ("model.gguf", gguf(*salt)),
            ("config.json", b"{}".to_vec()),
            ("sub/tokenizer.json", format!("[{salt}]").into_bytes()),
        ] {
            let header = format!("blob {}\0", content.len()).into_bytes();
            let blob = if path.ends_with("gguf") {
                sum("sha256sum", &content)
            } else {
                sum("sha1sum", &[header, content.clone()].concat())
            };
            let link = snapshot.join(path);
            fs_err::create_dir_all(model.join("blobs")).unwrap();
            fs_err::create_dir_all(link.parent().unwrap()).unwrap();
            fs_err::write(model.join("blobs").join(&blob), content).unwrap();
            let up = "../".repeat(path.matches('/').count() + 2);
            symlink(format!("{up}blobs/{blob}"), link).unwrap();
        }
        let at = model.join("refs").join(name);
        fs_err::create_dir_all(at.parent().unwrap()).unwrap();
        fs_err::write(at, commit).unwrap();
    }
    model
}

fn model(site: &Site) -> PathBuf {
    site.cache().join("models").join(FOLDER)
}

fn blob(site: &Site, commit: &str, path: &str) -> PathBuf {
    fs_err::canonicalize(model(site).join("snapshots").join(commit).join(path)).unwrap()
}

fn admin(site: &Site, words: &[&str]) -> Program {
    site.admin(words.iter().copied().chain(["--cache-dir", site.cache().to_str().unwrap()]))
}

fn import(site: &Site, from: &Path, more: &[&str]) -> Program {
    admin(site, &[&["model", "import", from.to_str().unwrap()][..], more].concat())
}

fn lock(site: &Site) -> Value {
    serde_json::from_slice(&fs_err::read(site.cache().join("site.lock")).unwrap()).unwrap()
}

/// Every file below a folder, with its bytes; links with their targets.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs_err::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_symlink() {
                let target = fs_err::read_link(&path).unwrap();
                found.insert(path, target.into_os_string().into_encoded_bytes());
            } else {
                let bytes = fs_err::read(&path).unwrap();
                found.insert(path, bytes);
            }
        }
    }
    found
}

#[test]
fn a_cache_of_the_hubs_clients_is_imported_with_its_commit_its_refs_and_its_blobs() {
    let site = Site::new();
    let from = hub_cache(&site, &[(MAIN, "main", 1)]);
    fs_err::create_dir_all(from.join("refs/pr")).unwrap();
    fs_err::write(from.join("refs/pr/1"), MAIN).unwrap();
    let before = contents(&from);
    import(&site, &from, &["--dry-run"]).code(0).stdout_contains("commit 0123456789ab");
    assert!(!model(&site).exists());
    import(&site, &from, &[]).umask(0o077).code(0).stdout_contains("org/name");
    // It is byte by byte, name by name what it was.
    let named = |all: BTreeMap<PathBuf, Vec<u8>>, root: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        all.into_iter().map(|(path, is)| (path.strip_prefix(root).unwrap().to_owned(), is)).collect()
    };
    assert_eq!(named(contents(&model(&site)), &model(&site)), named(before.clone(), &from));
    assert_eq!(contents(&from), before, "a copy leaves it as it is");
    let own = &lock(&site)["models"][REPO];
    assert_eq!(own["commit"], MAIN);
    let files = own["files"].as_array().unwrap();
    let config = files.iter().find(|file| file["path"] == "config.json").unwrap();
    assert_eq!(config["blob"].as_str().unwrap().len(), 40);
    assert_eq!(config["sha256"], sum("sha256sum", b"{}"));
    let weights = files.iter().find(|file| file["path"] == "model.gguf").unwrap();
    assert!(weights.get("blob").is_none());
    import(&site, &from, &[]).code(0).stdout_contains("already there");
    admin(&site, &["model", "verify", "--full"]).code(0);
    let listed = admin(&site, &["model", "ls", "--json"]).code(0).json();
    assert_eq!(listed["models"][0]["refs"], serde_json::json!(["main", "pr/1"]));
    assert_eq!(
        (&listed["models"][0]["where"], &listed["models"][0]["managed"]),
        (&"cache".into(), &true.into())
    );

    // Whatever the umask was, folders and files are 0755.
    for path in contents(&model(&site)).keys().flat_map(|path| [path.as_path(), path.parent().unwrap()]) {
        let metadata = fs_err::metadata(path).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o755, "{}", path.display());
    }
    if !geteuid().is_root() {
        skip!("needs root, to become a second user");
    }
    for path in contents(&model(&site)).keys() {
        Program::new("cat", Path::new("/")).as_user(54_321).args([path]).code(0);
    }
}

#[test]
fn a_blob_that_is_not_what_it_is_called_is_refused_and_nothing_is_changed() {
    let site = Site::new();
    let from = hub_cache(&site, &[(MAIN, "main", 1)]);
    let config = fs_err::canonicalize(from.join("snapshots").join(MAIN).join("config.json")).unwrap();
    fs_err::write(&config, "[]").unwrap();
    let before = contents(&from);
    for how in ["--copy", "--move", "--link"] {
        let outcome = import(&site, &from, &[how]).run().one_sentence();
        assert_eq!(outcome.exit, 65, "{outcome}");
        assert!(outcome.stderr.contains("is damaged"), "{outcome}");
        assert_eq!(contents(&from), before);
        assert!(!model(&site).exists());
    }
}

#[test]
fn files_are_moved_or_linked_and_what_others_could_change_is_not_linked() {
    let site = Site::new();
    let from = hub_cache(&site, &[(MAIN, "main", 1), (OTHER, "v2", 2)]);
    // What another revision needs stays.
    import(&site, &from, &["--move"]).code(0).stdout_contains("moved from");
    assert!(!from.join("snapshots").join(MAIN).exists() && !from.join("refs/main").exists());
    let left: Vec<_> = contents(&from.join("snapshots")).into_keys().collect();
    assert_eq!(left.len(), 3);
    assert!(left.iter().all(|link| link.exists()), "{left:?}");
    import(&site, &from, &["--move", "--revision", "v2"]).code(0);
    assert!(!from.exists(), "all of it is moved");
    admin(&site, &["model", "verify", "--full"]).code(0);

    let file = site.path().join("model.gguf");
    fs_err::write(&file, gguf(3)).unwrap();
    let mode = |mode| fs_err::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o666);
    let refused = import(&site, &file, &["--link", "--as", "org/linked"]).run().one_sentence();
    assert_eq!(refused.exit, 77, "{refused}");
    assert!(refused.stderr.contains("others can write to it"), "{refused}");
    mode(0o600);
    import(&site, &file, &["--link", "--as", "org/linked"]).code(0).stdout_contains("linked from");
    let blobs = site.cache().join("models/models--org--linked/blobs").join(sum("sha256sum", &gguf(3)));
    assert_eq!(fs_err::metadata(&blobs).unwrap().ino(), fs_err::metadata(&file).unwrap().ino());
    import(&site, &file, &["--move", "--as", "org/moved"]).code(0);
    assert!(!file.exists());
    admin(&site, &["model", "verify", "--full"]).code(0);
}

#[test]
fn every_damaged_file_is_named() {
    let site = Site::new();
    let from = hub_cache(&site, &[(MAIN, "main", 1)]);
    import(&site, &from, &[]).code(0);
    let (weights, config) = (blob(&site, MAIN, "model.gguf"), blob(&site, MAIN, "config.json"));
    let tokenizer = blob(&site, MAIN, "sub/tokenizer.json");
    fs_err::write(&config, "[]").unwrap();
    admin(&site, &["model", "verify"]).code(0);
    fs_err::write(&weights, &gguf(1)[..20]).unwrap();
    fs_err::remove_file(&tokenizer).unwrap();
    let found = admin(&site, &["model", "verify", "org/name", "--full", "--json"]).code(2).json();
    let own = &found["models"][0];
    assert_eq!((&found["ok"], &own["state"]), (&false.into(), &"damaged".into()));
    let named: Vec<(&str, &str)> = own["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (finding["path"].as_str().unwrap(), finding["code"].as_str().unwrap()))
        .collect();
    assert_eq!(
        named,
        [("config.json", "damaged"), ("model.gguf", "damaged"), ("sub/tokenizer.json", "missing")]
    );
    admin(&site, &["status", "--full"]).code(2).stdout_contains("damaged");
    // Links are set again without anybody; bytes have to come from somewhere.
    let link = model(&site).join("snapshots").join(MAIN).join("config.json");
    fs_err::remove_file(&link).unwrap();
    fs_err::write(model(&site).join("refs/main"), OTHER).unwrap();
    let repair = admin(&site, &["model", "verify", "--full", "--repair"]).env("HF_HUB_OFFLINE", "1");
    let outcome = repair.code(2);
    assert!(outcome.stderr.contains("HF_HUB_OFFLINE is set"), "{outcome}");
    assert_eq!(fs_err::read_to_string(model(&site).join("refs/main")).unwrap(), MAIN);
    assert!(fs_err::read_link(&link).is_ok());
    import(&site, &from, &[]).code(0);
    admin(&site, &["model", "verify", "--full"]).code(0);
    admin(&site, &["model", "verify", "org/nobody"]).code(66);
    let audit = fs_err::read_to_string(site.cache().join("audit.jsonl")).unwrap();
    assert!(audit.contains("verify") && audit.contains("failed: "), "{audit}");
}

#[test]
fn revisions_are_side_by_side_and_go_one_by_one() {
    let site = Site::new();
    let from = hub_cache(&site, &[(MAIN, "main", 1), (OTHER, "v2", 2)]);
    import(&site, &from, &[]).code(0);
    import(&site, &from, &["--revision", "v2"]).code(0);
    import(&site, &from, &["--revision", "v2"]).code(0).stdout_contains("already there");
    let own = &lock(&site)["models"][REPO];
    assert_eq!((&own["commit"], &own["revisions"]["v2"]["commit"]), (&MAIN.into(), &OTHER.into()));
    let read = |name: &str| fs_err::read_to_string(model(&site).join("refs").join(name)).unwrap();
    assert_eq!((read("main").as_str(), read("v2").as_str()), (MAIN, OTHER));
    admin(&site, &["model", "verify", "org/name@v2", "--full"]).code(0).stdout_contains("@v2");
    site.declare_text("schema: 1\ncache_dir: cache\nmodels: [{repo: org/name}]\n");
    site.admin(["status", "--full"]).run().stdout_contains("org/name@v2");
    // What is kept beside it is no drift, and nothing to be pruned.
    site.admin(["setup", "--only", "models", "--dry-run"]).code(0).stdout_contains("nothing to do");
    admin(&site, &["model", "prune", "--all", "--dry-run"]).code(0).stdout_contains("nothing to do");
    fs_err::remove_file(site.site_yaml()).unwrap();

    let refused = admin(&site, &["model", "rm", "org/name@main", "--force"]).run().one_sentence();
    assert_eq!(refused.exit, 65, "{refused}");
    // Without Slurm it is not known what is used.
    let unsure = admin(&site, &["model", "rm", "org/name@v2"]).run().one_sentence();
    assert_eq!(unsure.exit, 69, "{unsure}");
    admin(&site, &["model", "rm", "org/name@v2", "--force", "--dry-run"]).code(0).stdout_contains("would be");
    let weights = blob(&site, OTHER, "model.gguf");
    let shared = blob(&site, MAIN, "config.json");
    admin(&site, &["model", "rm", "org/name@v2", "--force"]).code(0);
    assert!(!weights.exists() && shared.exists() && !model(&site).join("refs/v2").exists());
    admin(&site, &["model", "rm", "org/name@v2", "--force"]).code(66);
    admin(&site, &["model", "verify", "--full"]).code(0);
    admin(&site, &["model", "rm", "org/name", "--force"]).code(0);
    assert!(!model(&site).exists());
    assert!(lock(&site)["models"].get(REPO).is_none());
    admin(&site, &["model", "rm", "org/name", "--force"]).code(66);
}

#[test]
fn what_was_replaced_is_pruned_after_its_time() {
    let site = Site::new();
    let from = hub_cache(&site, &[(MAIN, "main", 1), (OTHER, "v2", 2)]);
    import(&site, &from, &[]).code(0);
    fs_err::write(from.join("refs/main"), OTHER).unwrap();
    import(&site, &from, &[]).code(0).stdout_contains("differs from site.lock");
    let old = model(&site).join("snapshots").join(MAIN);
    let weights = blob(&site, MAIN, "model.gguf");
    fs_err::write(model(&site).join("blobs/left.incomplete"), "half").unwrap();
    let download = site.cache().join("models/.downloads/site.1/models--org--name");
    fs_err::create_dir_all(&download).unwrap();
    fs_err::write(download.join("part"), "half").unwrap();
    admin(&site, &["model", "prune"]).code(0).stdout_contains("stays until").stdout_contains("nothing to do");
    assert!(old.exists());
    // Of old age alone it does not go: one is kept for going back.
    let long_ago = SystemTime::now() - Duration::from_hours(24 * 40);
    fs_err::File::open(&old).unwrap().set_modified(long_ago).unwrap();
    admin(&site, &["model", "prune"])
        .code(0)
        .stdout_contains("one of the 2 that `retention.keep_revisions` keeps");
    assert_eq!(admin(&site, &["model", "prune", "--all"]).run().one_sentence().exit, 69);
    let dry = admin(&site, &["model", "prune", "--all", "--force", "--dry-run"]).code(0);
    dry.stdout_contains("would be removed");
    assert!(old.exists() && download.exists());
    admin(&site, &["model", "prune", "--all", "--force"]).code(0).stdout_contains("freed");
    assert!(!old.exists() && !weights.exists() && !download.exists());
    assert!(!model(&site).join("blobs/left.incomplete").exists());
    admin(&site, &["model", "verify", "--full"]).code(0);
    admin(&site, &["model", "prune", "--all", "--force"]).code(0).stdout_contains("nothing to do");

    // What site.lock does not have is somebody's, and goes only when all is to go.
    let foreign = site.cache().join("models/models--org--other");
    fs_err::create_dir_all(foreign.join("snapshots").join(MAIN)).unwrap();
    admin(&site, &["model", "prune"]).code(0).stdout_contains("not in site.lock");
    admin(&site, &["model", "prune", "--all", "--force"]).code(0);
    assert!(!foreign.exists());
}

#[test]
fn a_model_without_a_path_is_planned_to_come_from_the_hub() {
    let site = Site::new();
    site.declare_text(
        "schema: 1\ncache_dir: cache\nmodels: [{repo: org/name, revision: v1, include: ['*.gguf']}]\n",
    );
    let nobody = site.admin(["setup", "--only", "models", "--dry-run"]).env("HF_HUB_OFFLINE", "1");
    nobody.code(69).stdout_contains("huggingface.co is not asked for org/name at v1");
    let from = hub_cache(&site, &[(MAIN, "v1", 1)]);
    import(&site, &from, &["--revision", "v1"]).code(0);
    // The first one is what users get, and what is declared.
    site.admin(["setup", "--only", "models"]).code(0).stdout_contains("nothing to do");
    let own = &lock(&site)["models"][REPO];
    assert_eq!((&own["commit"], &own["revision"]), (&MAIN.into(), &"v1".into()));
    assert_eq!(fs_err::read_to_string(model(&site).join("refs/main")).unwrap(), MAIN);
}
