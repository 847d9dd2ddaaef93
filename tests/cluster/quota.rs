//! A quota that is used up: what no program can ask for beforehand is told in the middle of the work, and nothing is lost.
//!
//! The cache is a subvolume of btrfs with a limit of its own, on a loop device that the mount alone holds: it is gone with the mount, and
//! the mount with its host.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use bf_test_kit::{Cluster, Outcome, or_skip, write_gguf};

/// Where it is mounted, on the login node alone.
const FOLDER: &str = "/shared/quota";
const IMAGE: &str = "/var/tmp/quota.img";
const MODELS: &str = "/shared/quota/cache/models";

/// A cache of blackfish that is limited.
struct Limited(&'static Cluster);

impl Drop for Limited {
    fn drop(&mut self) {
        let _ = self.0.bash("login", &format!("umount -l {FOLDER}; rm -f {IMAGE}")).run();
    }
}

impl Limited {
    fn new() -> Result<Self, String> {
        let cluster = Cluster::shared()?;
        cluster.install_tools();
        // The node's own name for each device: a host has only those that it needs.
        let made = "set -e; [ -e /dev/loop-control ] || mknod -m 600 /dev/loop-control c 10 237; \
            for n in $(seq 0 63); do [ -e /dev/loop$n ] || mknod -m 600 /dev/loop$n b 7 $n; done";
        cluster.bash("login", made).code(0);
        cluster
            .bash("login", &format!("mkdir -p {FOLDER}; truncate -s 400M {IMAGE}; mkfs.btrfs -q {IMAGE}"))
            .code(0);
        let limited = Self(cluster);
        let mounted = cluster.bash("login", &format!("mount -t btrfs -o loop {IMAGE} {FOLDER}")).run();
        if mounted.exit != 0 {
            return Err(format!("no btrfs can be mounted here: {}", mounted.stderr.trim()));
        }
        let line = format!(
            "set -e; btrfs quota enable {FOLDER}; btrfs subvolume create {FOLDER}/cache; \
             chown blackfish: {FOLDER}/cache; sync -f {FOLDER}; btrfs quota rescan -w {FOLDER}"
        );
        cluster.bash("login", &line).code(0);
        Ok(limited)
    }

    /// `none`, or a size.
    fn limit(&self, to: &str) {
        // What was removed counts until it is written down. Not by the path of the cache: a limit is written to where that path is, too.
        let line = format!(
            "set -e; sync -f {FOLDER}; id=$(btrfs inspect-internal rootid {FOLDER}/cache); \
             btrfs qgroup limit {to} 0/$id {FOLDER}; sync -f {FOLDER}"
        );
        self.0.bash("login", &line).code(0);
    }

    /// Declares models of so many megabytes.
    fn declare(&self, models: &[(&str, u64)]) {
        let mut text = format!("schema: 1\ncache_dir: {FOLDER}/cache\nmodels:\n");
        for (name, megabytes) in models {
            let folder: PathBuf = self.0.shared_dir().join("quota-site").join(name);
            fs_err::create_dir_all(&folder).unwrap();
            write_gguf(&folder.join("model.gguf"), *megabytes).unwrap();
            writeln!(text, "  - {{repo: org/{name}, path: /shared/quota-site/{name}}}").unwrap();
        }
        fs_err::write(self.0.shared_dir().join("quota-site/site.yaml"), text).unwrap();
    }

    fn setup(&self, exit: i32) -> Outcome {
        let words = ["bf-admin", "setup", "--only", "models", "--site", "/shared/quota-site/site.yaml"];
        self.0.program("blackfish@login", words).limit(Duration::from_mins(2)).code(exit)
    }

    /// What readers see below models, and what is left of work in all staging folders.
    fn seen(&self) -> String {
        let line = format!("cd {MODELS}; ls; find {FOLDER}/cache -path '*/.staging/*'");
        self.0.bash("login", &line).code(0).stdout
    }
}

#[test]
fn a_quota_that_is_used_up_is_named_and_nothing_is_half_made() {
    let cache = or_skip!(Limited::new());
    cache.declare(&[("small", 5)]);
    cache.limit("30M");
    cache.setup(0);
    let before = cache.seen();
    assert_eq!(before, "models--org--small\n");

    // The filesystem has room for it, and the quota has not.
    cache.declare(&[("small", 5), ("large", 60)]);
    let told = cache.setup(73).one_sentence();
    told.stderr_contains(
        "there is no space for model org/large: a quota is used up at /shared/quota/cache/models",
    )
    .stderr_contains("that of blackfish, of a group, or of the folder")
    .stderr_contains("hint: free some of it, or ask for more")
    .stdout_contains("failed ");
    assert_eq!(cache.seen(), before);

    // Not a byte more for anybody, before anything begins.
    cache.limit("1M");
    let told = cache.setup(73).one_sentence();
    told.stderr_contains("Disk quota exceeded").stderr_contains("hint: your quota is used up");
    assert_eq!(cache.seen(), before);

    cache.limit("200M");
    cache.setup(0);
    assert_eq!(cache.seen(), "models--org--large\nmodels--org--small\n");
    let words = ["bf-admin", "status", "--full", "--json", "--site", "/shared/quota-site/site.yaml"];
    let status = cache.0.program("blackfish@login", words).run().json();
    let items = status["items"].as_array().unwrap().iter().filter(|item| item["kind"] == "model");
    assert_eq!(items.map(|item| item["state"].as_str().unwrap()).collect::<Vec<_>>(), ["present", "present"]);

    // Who may not write to the cache reads every byte of it just as well.
    let words = ["bf-admin", "status", "--full", "--json", "--cache-dir", "/shared/quota/cache"];
    let outcome = cache.0.program("alice@login", words).run();
    assert_eq!(outcome.stderr, "", "{outcome}");
    let items = outcome.json()["items"].as_array().unwrap().clone();
    let models = items.iter().filter(|item| item["kind"] == "model");
    assert_eq!(models.filter(|item| item["detail"] != "").count(), 2, "{outcome}");
    cache.0.bash("login", &format!("ls -d {FOLDER}/cache/.verify")).code(2);

    let devices = || cache.0.bash("login", "losetup --noheadings --output BACK-FILE,NAME -a").code(0).stdout;
    assert!(devices().contains("quota.img"), "{}", devices());
    let cluster = cache.0;
    drop(cache);
    let left = cluster.bash("login", "losetup --noheadings --output BACK-FILE,NAME -a; mount").code(0).stdout;
    assert!(!left.contains("quota"), "{left}");
}
