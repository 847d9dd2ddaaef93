//! Images of a researcher's own: pulled into his folder without an administrator, and never one that the site has.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bf_test_kit::images::{Allowed, Comparison, Faults, Mounted, Proxy};
use bf_test_kit::{Process, Program, Random, Site, or_skip};
use nix::sys::signal::Signal;

use crate::convert::{Stand, bytes_of, stand};

/// Programs of somebody who has no cache at all, only his folder.
struct Own(Site);

impl Own {
    fn new() -> Self {
        let site = Site::new();
        fs_err::set_permissions(site.home(), PermissionsExt::from_mode(0o700)).unwrap();
        Self(site)
    }

    fn user(&self, words: &[&str]) -> Program {
        self.0.program("bf-user").env("BLACKFISH_HOME_DIR", self.0.home()).args(words)
    }

    fn pull(&self, reference: &str, words: &[&str]) -> Program {
        self.user(&["image", "pull", "--no-https", reference]).args(words)
    }

    fn images(&self) -> PathBuf {
        self.0.home().join("images")
    }

    /// The list, as programs see it.
    fn list(&self) -> Vec<serde_json::Value> {
        let listed = self.user(&["image", "ls", "--json"]).code(0).json();
        listed["images"].as_array().unwrap().clone()
    }

    /// Expects one image, that of the stand, and nothing else that takes room.
    #[track_caller]
    fn has(&self, stand: &Stand, file: &str) {
        let [listed] = self.list().try_into().unwrap();
        assert_eq!(listed["location"], "own", "{listed}");
        let sif = Path::new(listed["path"].as_str().unwrap()).to_owned();
        Comparison::of_sif(&stand.tree, &Mounted::new(&sif).tree(), &Allowed::default()).none();
        assert_eq!(fs_err::canonicalize(self.images().join(file)).unwrap(), sif);
        assert_eq!(names(&self.images().join(".store")).len(), 1);
        assert_eq!(names(&self.images().join(".staging")), [""; 0]);
        assert!(!self.images().join(".downloads").exists());
        assert_eq!(mode(&self.0.home()), 0o700);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn an_image_is_pulled_listed_kept_and_removed() {
    let stand = or_skip!(stand());
    let own = Own::new();
    let proxy = Proxy::to(stand.registry.address, Faults::default());
    let reference = proxy.reference("features:gzip");
    own.user(&["image", "ls"]).code(0).stdout_contains("no images");
    own.pull(&reference, &["--dry-run"]).code(0).stdout_contains("would be pulled");
    assert!(!own.images().exists());

    let pulled = own.pull(&reference, &["--json", "--compression", "zstd:1"]).umask(0o077).code(0);
    assert_eq!(pulled.stderr, "", "no terminal, nothing said");
    let pulled = pulled.json();
    assert_eq!(pulled["images"][0]["change"], "pull", "{pulled}");
    assert_eq!(pulled["images"][0]["name"], "features_gzip", "{pulled}");
    own.has(stand, "features_gzip.sif");
    let sif = fs_err::canonicalize(own.images().join("features_gzip.sif")).unwrap();
    assert_eq!((mode(&sif), mode(&own.images())), (0o755, 0o755), "whatever the umask");
    own.user(&["image", "ls"]).code(0).stdout_contains(" own");

    let before = proxy.received();
    own.pull(&reference, &[]).code(0).stdout_contains("is there already");
    assert_eq!(proxy.received(), before, "nobody is asked");
    // Another image that would have the same file.
    let other = proxy.reference("other/features:gzip");
    let refused = own.pull(&other, &[]).code(65);
    assert!(refused.stderr.contains("bf-user image rm features_gzip"), "{refused}");

    own.user(&["image", "rm", "nothing"]).code(66);
    own.user(&["image", "rm", "features_gzip"]).code(0).stdout_contains("removed features_gzip");
    assert_eq!(own.list(), Vec::<serde_json::Value>::new());
    assert_eq!(names(&own.images().join(".store")), [""; 0]);
    assert!(!own.images().join("features_gzip.sif").exists());
}

#[test]
fn a_pull_that_was_killed_goes_on_where_it_was() {
    let stand = or_skip!(stand());
    let whole = bytes_of(stand, "features:gzip");
    let own = Own::new();
    let rate = Some(whole / 2);
    let proxy = Proxy::to(stand.registry.address, Faults { rate, ..Faults::default() });
    let reference = proxy.reference("features:gzip");
    let (mut random, mut killed) = (Random::new(), 0_u64);
    for _ in 0..4 {
        let mut child = own.pull(&reference, &[]).umask(0o077).spawn();
        let process = Process::now(i32::try_from(child.id()).unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(300) + random.below(Duration::from_millis(300)));
        killed += u64::from(child.try_wait().unwrap().is_none());
        process.signal(Signal::SIGKILL);
        child.wait().unwrap();
        own.user(&["image", "ls"]).code(0);
    }
    assert!(killed > 1, "it is never caught at work");
    proxy.set(Faults::default());
    own.pull(&reference, &[]).code(0);
    own.has(stand, "features_gzip.sif");
    // What is on its way to a process that is killed is lost: a few megabytes each time.
    let received = proxy.received();
    assert!(received < whole + killed * 6_000_000, "{received} bytes for {whole} after {killed} kills");
}

#[test]
fn what_the_shared_cache_has_is_not_pulled_again() {
    let stand = or_skip!(stand());
    let own = Own::new();
    let proxy = Proxy::to(stand.registry.address, Faults::default());
    let reference = proxy.reference("features:zstd");
    let cache = own.0.cache().to_str().unwrap().to_owned();
    let words = ["image", "pull", "--engine", "native", "--no-https", "--cache-dir", &cache, &reference];
    own.0.admin(words).code(0);
    let before = proxy.received();
    let in_cache = ["--cache-dir", &cache];
    own.pull(&reference, &in_cache).code(0).stdout_contains("the shared cache has");
    assert_eq!(proxy.received(), before);
    assert!(!own.images().exists());
    let listed = own.user(&["image", "ls", "--json", "--cache-dir", &cache]).code(0).json();
    assert_eq!(listed["images"][0]["location"], "cache", "{listed}");

    own.pull(&reference, &["--cache-dir", &cache, "--force"]).code(0);
    own.has(stand, "features_zstd.sif");
    // A cache that is gone is no reason to do without one's own.
    let gone = own.pull(&reference, &["--cache-dir", "/nonexistent"]).code(0);
    assert!(gone.stdout.contains("is there already") && gone.stderr.contains("warning: "), "{gone}");
}

#[test]
fn the_registries_of_the_site_are_reached_as_it_declares() {
    let stand = or_skip!(stand());
    let own = Own::new();
    let proxy = Proxy::to(stand.registry.address, Faults::default());
    let cache = own.0.cache().to_str().unwrap().to_owned();
    let site_yaml = own.0.cache().join("site.yaml");
    let declare = |registries: &str| {
        fs_err::create_dir_all(own.0.cache().join("models")).unwrap();
        let text = format!("schema: 1\ncache_dir: {cache}\nregistries: {registries}\n");
        fs_err::write(&site_yaml, text).unwrap();
    };
    let pull = |reference: &str| own.user(&["image", "pull", "--cache-dir", &cache, reference]);
    // Only the mirror is there at all.
    declare(&format!("{{registry.invalid: {{mirrors: ['http://{}']}}}}", proxy.address));
    let done = pull("registry.invalid/features:gzip").code(0);
    assert_eq!(done.stderr, "");
    assert!(proxy.received() > 0);
    own.has(stand, "features_gzip.sif");
    own.user(&["image", "rm", "features_gzip"]).code(0);

    // What somebody else could have written is done without: the registry would have to speak HTTPS then.
    declare(&format!("{{'{}': {{plain_http: true}}}}", proxy.address));
    let reference = proxy.reference("features:gzip");
    fs_err::set_permissions(&site_yaml, PermissionsExt::from_mode(0o666)).unwrap();
    let refused = pull(&reference).run();
    assert!(refused.exit != 0 && refused.stderr.contains("is not trusted"), "{refused}");
    fs_err::set_permissions(&site_yaml, PermissionsExt::from_mode(0o644)).unwrap();
    pull(&reference).code(0);
    own.has(stand, "features_gzip.sif");
}

#[test]
fn who_waits_for_a_pull_is_told_what_it_waits_for() {
    let stand = or_skip!(stand());
    let own = Own::new();
    let proxy = Proxy::to(stand.registry.address, Faults { busy_every: Some(2), ..Faults::default() });
    let reference = proxy.reference("features:gzip");
    let plain = own.pull(&reference, &["--progress", "plain"]).code(0);
    assert!(plain.stderr.contains("features_gzip: waiting 1 s for 127.0.0.1"), "{plain}");
    assert!(plain.stderr.lines().last().unwrap().starts_with("image features_gzip: done, "), "{plain}");
    own.user(&["image", "rm", "features_gzip"]).code(0);

    proxy.set(Faults::default());
    let json = own.pull(&reference, &["--progress", "json", "--json"]).code(0);
    let events: Vec<serde_json::Value> =
        json.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let whole = |event: &str| {
        let is_it = |one: &&serde_json::Value| one["event"] == event && one.get("file").is_none();
        events.iter().find(is_it).unwrap_or_else(|| panic!("{event}: {json}")).clone()
    };
    assert_eq!(whole("started")["name"], "features_gzip");
    let finished = whole("finished");
    assert!(finished["bytes"].as_u64().unwrap() > 0 && finished["bytes"] == finished["total"], "{finished}");
    let layers = events.iter().filter(|one| one["event"] == "finished" && one["file"].is_string()).count();
    assert!(layers > 1, "{json}");
    assert_eq!(own.pull(&reference, &["--progress", "none", "--force"]).code(0).stderr, "");
}
