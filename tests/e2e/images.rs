//! Container images of the cache, with a program that stands in for Apptainer. `tests/cluster` has a real one.

use std::path::PathBuf;
use std::time::Duration;

use bf_test_kit::{Process, Program, Site, Tree, eventually, sif};
use nix::sys::signal::Signal;

pub(crate) const REFERENCE: &str = "registry.example/org/name:1";

/// A site with an image to be declared, and the folder of the stand-in.
pub(crate) struct Images {
    pub(crate) site: Site,
    pub(crate) fake: PathBuf,
}

impl Images {
    pub(crate) fn new() -> Self {
        let site = Site::new();
        let fake = site.path().join("fake");
        fs_err::create_dir(&fake).unwrap();
        for name in ["apptainer", "singularity"] {
            fs_err::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/apptainer.sh"), fake.join(name)).unwrap();
        }
        let images = Self { site, fake };
        images.declare("");
        images.offer(1);
        images
    }

    pub(crate) fn declare(&self, more: &str) {
        let text = format!("schema: 1\ncache_dir: cache\nimages:\n  mine: {{ref: '{REFERENCE}'{more}}}\n");
        self.site.declare_text(&text);
    }

    /// What is pulled from now on.
    pub(crate) fn offer(&self, salt: u8) {
        fs_err::write(self.fake.join("image.sif"), sif(salt, REFERENCE)).unwrap();
    }

    /// bf-admin, with the stand-in to make images where it makes some.
    pub(crate) fn admin(&self, words: &[&str]) -> Program {
        let makes = matches!(words, ["setup", ..] | ["image", "pull", ..]);
        let words = [words, if makes { &["--engine", "apptainer"] } else { &[] }].concat();
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.fake.display());
        self.site.admin(&words).env("PATH", path).env("APPTAINER_DOCKER_PASSWORD", "pass-of-the-registry")
    }

    fn runs(&self) -> usize {
        fs_err::read_to_string(self.fake.join("runs")).map_or(0, |text| text.lines().count())
    }

    pub(crate) fn said(&self, file: &str) -> String {
        fs_err::read_to_string(self.fake.join(file)).unwrap()
    }

    pub(crate) fn link(&self) -> PathBuf {
        self.site.cache().join("images/name_1.sif")
    }
}

#[test]
fn a_declared_image_is_pulled_once_and_again_when_it_must_be() {
    let images = Images::new();
    let told = images.admin(&["setup", "--dry-run", "--json"]).code(0).json();
    assert_eq!(images.runs(), 0);
    let done = images.admin(&["setup", "--json"]).umask(0o077).code(0).json();
    assert_eq!(told["changed"], done["changed"]);
    assert_eq!(images.runs(), 1);
    assert_eq!(images.said("umask").trim(), "0022");
    images.site.admin(["status", "--full"]).code(0);
    images.site.admin(["permissions", "check"]).code(0);
    assert_eq!(fs_err::read(images.link()).unwrap(), sif(1, REFERENCE));

    // What it was told, and where it wrote.
    let arguments = images.said("arguments");
    assert!(arguments.ends_with(&format!("docker://{REFERENCE}\n")), "{arguments}");
    assert!(!arguments.contains("--no-https"));
    let staging = images.site.cache().join("images/.staging");
    let environment = images.said("environment");
    for name in ["APPTAINER_CACHEDIR", "APPTAINER_TMPDIR", "TMPDIR", "APPTAINER_CONFIGDIR"] {
        let wanted = format!("{name}={}", staging.display());
        assert!(environment.lines().any(|line| line.starts_with(&wanted)), "{name}: {environment}");
    }
    assert!(environment.contains("APPTAINER_DOCKER_PASSWORD=pass-of-the-registry"));
    assert_eq!(fs_err::read_dir(&staging).unwrap().count(), 0, "nothing stays, also what is closed");
    assert_eq!(fs_err::read_dir(images.site.user_home()).unwrap().count(), 0);

    // Nothing is fetched again, also without a program that could.
    let before = Tree::of(images.site.cache());
    assert_eq!(images.admin(&["setup", "--json"]).code(0).json()["changed"], 0);
    assert_eq!(before.changes(&Tree::of(images.site.cache())), Vec::<String>::new());
    assert_eq!(images.runs(), 1);

    // Asked for, a new one replaces the name, and the old file stays for those who run it.
    let old = fs_err::canonicalize(images.link()).unwrap();
    images.offer(2);
    images.admin(&["setup", "--update", "mine", "--no-https"]).code(0);
    assert!(images.said("arguments").contains("--no-https"));
    assert_eq!(fs_err::read(images.link()).unwrap(), sif(2, REFERENCE));
    assert_eq!(fs_err::read(&old).unwrap(), sif(1, REFERENCE));

    // A pin is fetched by its digest, names the file, and then there is nothing newer.
    let digest = format!("sha256:{}", "a1".repeat(32));
    images.declare(&format!(", digest: '{digest}'"));
    images.site.admin(["status"]).code(2).stdout_contains("instead of");
    images.admin(&["setup"]).code(0);
    assert!(images.said("arguments").contains(&format!("docker://registry.example/org/name@{digest}")));
    let target = fs_err::read_link(images.link()).unwrap();
    assert_eq!(target.to_str(), Some(".store/a1a1a1a1a1a1-gzip.sif"));
    let runs = images.runs();
    assert_eq!(images.admin(&["setup", "--update", "mine", "--json"]).code(0).json()["changed"], 0);
    assert_eq!(images.runs(), runs);

    let audit = fs_err::read_to_string(images.site.cache().join("audit.jsonl")).unwrap();
    assert!(!audit.contains("pass-of-the-registry"));
    assert!(!images.said("arguments").contains("pass-of-the-registry"));
}

#[test]
fn the_whole_file_of_a_pinned_image_is_never_replaced() {
    let images = Images::new();
    let cache = images.site.path().join("bare");
    let shown = cache.to_str().unwrap().to_owned();
    let pinned = format!("{REFERENCE}@sha256:{}", "a1".repeat(32));
    let pull = ["image", "pull", &pinned, "--as", "pinned", "--force", "--cache-dir", &shown];
    images.admin(&pull).code(0);
    let stored = cache.join("images/.store/a1a1a1a1a1a1-gzip.sif");
    let before = Tree::of(&cache.join("images"));
    // Made again of the same manifest, its bytes are others.
    images.offer(2);
    images.admin(&pull).code(0).stdout_contains("kept");
    assert_eq!(images.runs(), 2);
    assert_eq!(before.changes(&Tree::of(&cache.join("images"))), Vec::<String>::new());
    assert_eq!(fs_err::read(&stored).unwrap(), sif(1, REFERENCE));
    images.admin(&["image", "ls", "--cache-dir", &shown]).code(0);
    images.admin(&["status", "--full", "--cache-dir", &shown]).folder(&images.fake).code(0);

    // A damaged one gives way.
    let mut bytes = sif(1, REFERENCE);
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&stored, bytes).unwrap();
    images.admin(&pull).code(0).stdout_contains("1 change");
    assert_eq!(fs_err::read(&stored).unwrap(), sif(2, REFERENCE));
    images.admin(&["status", "--full", "--cache-dir", &shown]).folder(&images.fake).code(0);
}

#[test]
fn what_cannot_be_fetched_has_a_reason_and_leaves_what_was_there() {
    let images = Images::new();
    images.admin(&["setup"]).code(0);
    images.offer(2);
    let cache = images.site.cache().to_str().unwrap().to_owned();
    let before = Tree::of(&images.site.cache().join("images"));
    for (does, exit, word) in [
        ("fail:reading manifest x: manifest unknown", 66, "has no image"),
        ("fail:dial tcp 10.0.0.1:443: connect: connection refused", 69, "cannot be reached"),
        ("fail:unauthorized: authentication required", 77, "APPTAINER_DOCKER_USERNAME"),
        ("fail:write /x: no space left on device", 73, "no space"),
        ("fail:write /x: disk quota exceeded", 73, "a quota is used up at "),
        ("fail:something else", 1, "something else"),
        ("half", 65, "cut off"),
    ] {
        let pull = ["image", "pull", REFERENCE, "--force", "--cache-dir", &cache];
        let outcome = images.admin(&pull).env("FAKE_DO", does).code(exit).one_sentence();
        let outcome = outcome.stderr_contains(word);
        assert!(!outcome.stderr.contains("pass-of-the-registry"));
        assert_eq!(before.changes(&Tree::of(&images.site.cache().join("images"))), Vec::<String>::new());
    }
    // In setup it stops nothing else.
    images
        .site
        .declare_text(&format!("schema: 1\ncache_dir: cache\nimages:\n  other: {{ref: '{REFERENCE}2'}}\n"));
    images.admin(&["setup"]).env("FAKE_DO", "fail:manifest unknown").code(1);
    let site = fs_err::read_to_string(images.site.cache().join("site.yaml")).unwrap();
    assert!(site.contains("other"), "the rest was done");
    images.site.admin(["status"]).code(2);

    let secret =
        images.admin(&["image", "pull", "docker://me:word@registry.example/a", "--cache-dir", &cache]);
    let refused = secret.code(64).one_sentence();
    assert!(!refused.stderr.contains("me:word"), "{refused}");
}

#[test]
fn a_killed_pull_leaves_no_builder_and_nothing_that_the_next_one_does_not_remove() {
    let images = Images::new();
    let mut pull = images.admin(&["setup"]).env("FAKE_DO", "hang").spawn();
    let started = eventually("the stand-in is at work", Duration::from_secs(20), || {
        fs_err::read_to_string(images.fake.join("started")).ok()
    });
    let builders: Vec<Process> =
        started.split_whitespace().map(|pid| Process::now(pid.parse().unwrap()).expect("it runs")).collect();
    Process::now(i32::try_from(pull.id()).unwrap()).unwrap().signal(Signal::SIGKILL);
    pull.wait().unwrap();
    for builder in &builders {
        assert!(builder.gone_within(Duration::from_secs(5)), "{builder:?} went on without us");
    }
    assert!(!images.link().exists(), "nothing half-made is visible");
    assert_ne!(fs_err::read_dir(images.site.cache().join("images/.staging")).unwrap().count(), 0);

    images.admin(&["setup"]).code(0);
    assert_eq!(fs_err::read_dir(images.site.cache().join("images/.staging")).unwrap().count(), 0);
    images.site.admin(["status", "--full"]).code(0);
}

#[test]
fn an_image_of_a_bare_folder_needs_no_site() {
    let images = Images::new();
    let cache = images.site.path().join("bare");
    let cache = cache.to_str().unwrap();
    let file = images.fake.join("name_1.sif");
    fs_err::copy(images.fake.join("image.sif"), &file).unwrap();
    let import = ["image", "import", file.to_str().unwrap(), "--as", "engine", "--cache-dir", cache];
    let dry = [&import[..], &["--dry-run"]].concat();
    assert_eq!(images.admin(&dry).code(0).stdout_contains("1 change to be done").exit, 0);
    assert!(!std::path::Path::new(cache).exists());
    images.admin(&import).code(0);
    images.admin(&import).code(0).stdout_contains("nothing to do");
    images
        .admin(&["image", "pull", REFERENCE, "--cache-dir", cache])
        .code(0)
        .stdout_contains("nothing to do");
    assert_eq!(images.runs(), 0);
    let listed = images.admin(&["image", "ls", "--json", "--cache-dir", cache]).code(0).json();
    assert_eq!(listed["images"][0]["name"], "engine");
    assert_eq!(listed["images"][0]["ref"], REFERENCE);
    assert!(!std::path::Path::new(cache).join("site.yaml").exists());
    images.admin(&["status", "--cache-dir", cache]).folder(&images.fake).code(0);
}

#[test]
fn users_find_the_program_of_their_cache_in_its_bin() {
    let images = Images::new();
    images.admin(&["setup"]).code(0);
    let program = images.site.cache().join("bin/bf-user");
    let version = Program::new(&program, images.site.path()).args(["version", "--json"]).code(0).json();
    assert_eq!(version["name"], "bf-user");
    // It knows the cache that it lies in.
    let listed = Program::new(&program, images.site.path()).env("HOME", images.site.user_home());
    listed.args(["model", "ls", "--json"]).code(0);
    let lock: serde_json::Value =
        serde_json::from_slice(&fs_err::read(images.site.cache().join("site.lock")).unwrap()).unwrap();
    assert_eq!(lock["toolkit"]["version"], version["version"]);
}
