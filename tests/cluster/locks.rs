//! Two writers on two hosts of a network filesystem, each with caches of its own, where root is nobody.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bf_test_kit::{Cluster, ClusterOptions, Outcome, Program, eventually, or_skip, write_gguf};
use serde_json::Value;

const CACHE: &str = "/shared/service/cache";
/// As in bf-core: a lease, and how long it is watched beyond that when the watch began late.
const LEASE: Duration = Duration::from_secs(45);
/// More than a takeover takes, whenever the claim was last written and looked at.
const TAKEOVER: Duration = Duration::from_secs(100);

struct Place {
    cluster: Cluster,
}

impl Place {
    fn start() -> Result<Self, String> {
        let cluster = Cluster::start_with(ClusterOptions { bindfs: true, ..ClusterOptions::default() })?;
        cluster.install_tools();
        let place = Self { cluster };
        let folder = place.folder();
        // Big enough to be seen at work, and small ones.
        for (name, megabytes) in [("big", 400), ("small", 1)] {
            fs_err::create_dir(folder.join(name)).unwrap();
            write_gguf(&folder.join(name).join("model.gguf"), megabytes).unwrap();
        }
        Ok(place)
    }

    /// `/shared/service`, as the server sees it.
    fn folder(&self) -> PathBuf {
        self.cluster.shared_dir().join("service")
    }

    fn cache(&self) -> PathBuf {
        self.folder().join("cache")
    }

    /// `bf-admin setup` by the service account on a host, with these models (name and which file).
    fn setup(&self, host: &str, name: &str, models: &[(&str, &str)], options: &str) -> Program {
        let model =
            |(model, from): &(&str, &str)| format!("{{repo: org/{model}, path: /shared/service/{from}}}");
        let models: Vec<String> = models.iter().map(model).collect();
        let text = format!("schema: 1\ncache_dir: {CACHE}\nmodels: [{}]\n", models.join(", "));
        fs_err::write(self.folder().join(format!("{name}.yaml")), text).unwrap();
        // `at` would stop with the command if that were its own.
        let line = format!("bf-admin setup --site /shared/service/{name}.yaml {options}; exit $?");
        self.cluster.bash(&format!("blackfish@{host}"), &line).limit(Duration::from_mins(3))
    }

    /// Starts it, and waits until it holds the lock and has begun to copy.
    fn begin(&self, host: &str, setup: &Program) -> (JoinHandle<Outcome>, Value) {
        let staging = self.cache().join("models/.staging");
        let setup = setup.clone();
        let running = std::thread::spawn(move || setup.run());
        let owner = eventually("its claim", Duration::from_secs(20), || {
            let claim = self.claim()?;
            let begun = fs_err::read_dir(&staging).ok()?.count() > 0;
            (claim["released"] == false && claim["owner"]["host"] == host && begun)
                .then(|| claim["owner"].clone())
        });
        (running, owner)
    }

    /// The newest claim, as the server sees it.
    fn claim(&self) -> Option<Value> {
        let names = fs_err::read_dir(self.cache().join(".locks")).ok()?;
        let newest = names
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("site.")?.parse::<u64>().ok())
            .max()?;
        let bytes = fs_err::read(self.cache().join(format!(".locks/site.{newest}"))).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn signal(&self, owner: &Value, signal: &str) {
        let place = format!("blackfish@{}", owner["host"].as_str().unwrap());
        let pid = owner["pid"].to_string();
        self.cluster.program(&place, ["kill", &format!("-{signal}"), &pid]).code(0);
    }

    /// The models that there are, as the server sees them.
    fn models(&self) -> Vec<String> {
        let names = fs_err::read_dir(self.cache().join("models")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> =
            names.filter_map(|name| Some(name.strip_prefix("models--org--")?.to_owned())).collect();
        names.sort();
        names
    }

    /// The models of site.lock.
    fn locked(&self) -> Vec<String> {
        let bytes = fs_err::read(self.cache().join("site.lock")).unwrap();
        let lock: Value = serde_json::from_slice(&bytes).unwrap();
        lock["models"].as_object().unwrap().keys().cloned().collect()
    }

    /// Whether nothing is left in any staging folder.
    fn is_clean(&self) -> bool {
        ["", "models", "images", "engines", "toolkit"].iter().all(|part| {
            let entries = fs_err::read_dir(self.cache().join(part).join(".staging"));
            entries.is_ok_and(|entries| entries.count() == 0)
        })
    }
}

#[test]
fn the_hosts_have_caches_of_their_own_and_root_is_nobody() {
    let cluster = or_skip!(Cluster::start_with(ClusterOptions { bindfs: true, ..ClusterOptions::default() }));
    let at = |place: &str, line: &str| cluster.bash(place, line);
    at("blackfish@node1", "cd /shared/service; echo one > file; umask 077; mkdir private").code(0);
    at("blackfish@node2", "stat -c %s /shared/service/file").code(0).stdout_contains("4");
    at("blackfish@node1", "echo longer > /shared/service/file").code(0);
    at("blackfish@node2", "stat -c %s /shared/service/file").code(0).stdout_contains("4"); // it remembers
    at("blackfish@node2", "stat --cached=never -c %s /shared/service/file").code(0).stdout_contains("7");
    at("root@node1", "stat -c %U /home").code(0).stdout_contains("nobody");
    for line in ["touch /shared/x", "touch /shared/service/x", "ls /shared/service/private", "ls /home/alice"]
    {
        at("root@node1", line).run().stderr_contains("Permission denied");
    }
    at("alice@node1", "touch ~/mine && stat -c %U ~/mine").code(0).stdout_contains("alice");
}

#[test]
fn one_works_and_the_other_waits_or_is_told_who() {
    let place = or_skip!(Place::start());
    // Each knows the cache as it was before, and remembers it.
    place.setup("node1", "first", &[("zero", "small")], "").code(0);
    place.setup("node2", "first", &[("zero", "small")], "").code(0).stdout_contains("nothing to do");

    let first = place.setup("node1", "first", &[("zero", "small"), ("big", "big")], "");
    let (running, owner) = place.begin("node1", &first);
    let second = |options| place.setup("node2", "second", &[("zero", "small"), ("small", "small")], options);
    let refused = second("").code(75).one_sentence();
    let who = format!("blackfish (bf-admin setup, process {} on node1, since 2", owner["pid"]);
    let refused = refused.stderr_contains(&who).stderr_contains("--wait");
    assert!(refused.took < Duration::from_secs(5), "{refused}");
    let error = second("--json").code(75).json();
    assert_eq!(error["error"]["code"], "busy");
    second("--wait=0").code(75).stderr_contains(&who);

    let waited = second("--wait").code(0).stderr_contains(&format!("waiting for {who}"));
    assert!(!waited.stderr.contains("taken over"), "{waited}");
    assert_eq!(running.join().unwrap().exit, 0);
    assert_eq!(place.models(), ["big", "small", "zero"]);
    // What the first has written down is not lost, although this host knew an older file.
    assert_eq!(place.locked(), ["org/big", "org/small", "org/zero"]);
    assert!(place.is_clean());

    // Root is nobody here, and is told whose the cache is.
    let words = ["bf-admin", "model", "import", "/shared/service/small", "--as", "a/b", "--cache-dir", CACHE];
    let refused = place.cluster.program("root@node1", words).code(77).one_sentence();
    refused.stderr_contains("cannot be changed by root").stderr_contains("run it as blackfish");
}

#[test]
fn of_many_small_changes_none_is_lost() {
    let place = or_skip!(Place::start());
    let import = "for i in $(seq 8); do bf-admin --quiet model import /shared/service/small --as org/$0-$i --cache-dir $1 --wait=120 || exit; done";
    std::thread::scope(|scope| {
        for host in ["login", "node1", "node2"] {
            let user = format!("blackfish@{host}");
            let import = place.cluster.program(&user, ["bash", "-c", import, host, CACHE]);
            scope.spawn(move || import.code(0));
        }
    });
    assert_eq!((place.models().len(), place.locked().len()), (24, 24));
    let log = fs_err::read_to_string(place.cache().join("audit.jsonl")).unwrap();
    assert_eq!(log.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 24, "{log}");
    assert!(place.is_clean());
}

#[test]
fn who_was_killed_is_followed() {
    let place = or_skip!(Place::start());
    let first = place.setup("node1", "first", &[("big", "big")], "");
    let (running, owner) = place.begin("node1", &first);
    place.signal(&owner, "KILL");
    let begun = Instant::now();
    running.join().unwrap();
    assert!(!place.is_clean());
    // Another host cannot know yet.
    let second = |options| place.setup("node2", "second", &[("small", "small")], options);
    second("").code(75).stderr_contains("on node1");
    let waited = second("--wait").code(0);
    let took = begun.elapsed();
    eprintln!("taken over from another host {took:?} after the kill");
    let pid = &owner["pid"];
    let waited = waited.stderr_contains("was taken over from blackfish");
    let waited = waited.stderr_contains(&format!("process {pid} on node1"));
    assert!(took > LEASE.saturating_sub(Duration::from_secs(6)) && took < TAKEOVER, "{took:?} {waited}");
    assert_eq!(place.models(), ["small"]);
    assert!(place.is_clean());

    // The very host knows at once.
    let (running, owner) = place.begin("node1", &first);
    place.signal(&owner, "KILL");
    running.join().unwrap();
    let again = place.setup("node1", "second", &[("small", "small")], "").code(0);
    assert!(again.took < Duration::from_secs(10), "{again}");
    again.stderr_contains("was taken over from blackfish").stdout_contains("nothing to do");
    assert!(place.is_clean());
    assert_eq!(place.models(), ["small"]);
}

#[test]
fn who_was_paused_publishes_nothing_after_a_takeover_by_another_host() {
    paused(&or_skip!(Place::start()), "node2");
}

/// Which has the very files open that the taker removes.
#[test]
fn who_was_paused_publishes_nothing_after_a_takeover_by_the_same_host() {
    paused(&or_skip!(Place::start()), "node1");
}

fn paused(place: &Place, by: &str) {
    let first = place.setup("node1", "first", &[("big", "big")], "");
    let (running, owner) = place.begin("node1", &first);
    place.signal(&owner, "STOP");
    let begun = Instant::now();
    let second = place.setup(by, "second", &[("small", "small")], "--wait").code(0);
    let took = begun.elapsed();
    eprintln!("taken over by {by} {took:?} after the pause");
    second.stderr_contains("waiting for blackfish").stderr_contains("was taken over from blackfish");
    let taker = place.claim().unwrap();
    assert_eq!(taker["owner"]["host"], by);
    let before = tree_of(place);

    place.signal(&owner, "CONT");
    let lost = running.join().unwrap();
    assert_eq!(lost.exit, 75, "{lost}");
    let who = format!("blackfish (bf-admin setup, process {} on {by}, since 2", taker["owner"]["pid"]);
    lost.one_sentence().stderr_contains("lost the cache").stderr_contains(&who).stderr_contains("took over");
    assert_eq!(tree_of(place), before);
    assert_eq!(place.models(), ["small"]);
    assert_eq!(place.locked(), ["org/small"]);
    // What it had staged is gone, or goes with the next one.
    place.setup(by, "second", &[("small", "small")], "").code(0).stdout_contains("nothing to do");
    assert!(place.is_clean());
    let log = fs_err::read_to_string(place.cache().join("audit.jsonl")).unwrap();
    assert!(log.lines().any(|line| line.contains("lost the cache") && line.contains("node1")), "{log}");
}

/// Everything that users see of the cache: path, kind, size, mode, time of change.
fn tree_of(place: &Place) -> String {
    let line = "find . -name audit.jsonl -o -path '*/.staging*' -o -path '*/.locks*' -o -printf '%p %y %s %m %T@\\n' | sort";
    Program::new("bash", &place.cache()).args(["-c", line]).code(0).stdout
}
