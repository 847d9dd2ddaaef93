//! Ends: of a node, of a cluster, of who uses it, of its own start.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bf_test_kit::{Cluster, ClusterOptions, Process, Program, Random, eventually, or_skip, skip};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;

const HOSTS: [&str; 4] = ["net", "login", "node1", "node2"];
const PATIENCE: Duration = Duration::from_secs(30);

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// All files `/proc/PID/NAME`.
fn of_processes(name: &'static str) -> impl Iterator<Item = PathBuf> {
    let entries = fs_err::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ids = entries.filter(|entry| entry.file_name().to_string_lossy().parse::<i32>().is_ok());
    ids.map(move |entry| entry.path().join(name))
}

/// A namespace, by its number, and kept open: the number of one that is gone is given to the next.
type Namespace = (PathBuf, fs_err::File);

/// The namespaces of the hosts.
fn namespaces(cluster: &Cluster) -> Vec<Namespace> {
    let mut all = Vec::new();
    for (host, kind) in HOSTS.iter().flat_map(|host| ["net", "mnt", "pid"].map(|kind| (host, kind))) {
        let path = format!("/proc/{}/ns/{kind}", cluster.pid_of(host));
        let (open, number) = (fs_err::File::open(&path).unwrap(), fs_err::read_link(&path).unwrap());
        // What holds the network has all else in common with us.
        if number != fs_err::read_link(format!("/proc/self/ns/{kind}")).unwrap() {
            all.push((number, open));
        }
    }
    all
}

/// What is left of a cluster: processes in its namespaces, processes that name it, mounts, its folder.
fn left(state: &Path, namespaces: &[Namespace]) -> Vec<String> {
    let name = state.to_str().unwrap();
    let holds = |path: &PathBuf| {
        fs_err::read(path).is_ok_and(|bytes| bytes.windows(name.len()).any(|part| part == name.as_bytes()))
    };
    let inside = ["ns/net", "ns/mnt", "ns/pid"].into_iter().flat_map(of_processes);
    let inside = inside.filter(|path| {
        fs_err::read_link(path).is_ok_and(|link| namespaces.iter().any(|(number, _)| *number == link))
    });
    let told = ["cmdline", "mounts"].into_iter().flat_map(of_processes).filter(holds);
    let folder = state.exists().then(|| state.to_owned());
    inside.chain(told).chain(folder).map(|path| path.display().to_string()).collect()
}

fn nothing_is_left(state: &Path, namespaces: &[Namespace]) {
    let found = left(state, namespaces);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_node_that_goes_down_is_noticed_and_comes_back() {
    let cluster = or_skip!(Cluster::start(false));
    let line = "sbatch --parsable --no-requeue -w node2 -c 1 -t 5 -o /dev/null --wrap 'sleep 300'";
    let id = cluster.bash("alice@login", line).code(0).stdout.trim().to_owned();
    let job =
        || cluster.program("bob@login", ["squeue", "-h", "-t", "all", "-j", &id, "-o", "%T"]).code(0).stdout;
    eventually("the job runs", PATIENCE, || (job().trim() == "RUNNING").then_some(()));

    let first = Process::now(cluster.pid_of("node2")).unwrap();
    let begun = std::time::Instant::now();
    cluster.node_down("node2");
    assert!(!first.is_alive());
    cluster.program("node2", ["true"]).code(66).one_sentence();
    let node =
        || cluster.program("login", ["sinfo", "-h", "-n", "node2", "-p", "cpu", "-o", "%t"]).code(0).stdout;
    eventually("sinfo says down", PATIENCE, || node().starts_with("down").then_some(()));
    println!("noticed after {:?}", begun.elapsed());
    eventually("its job failed", PATIENCE, || (job().trim() == "NODE_FAIL").then_some(()));

    let begun = std::time::Instant::now();
    cluster.node_up("node2");
    eventually("it is idle again", PATIENCE, || (node().trim() == "idle").then_some(()));
    println!("idle again after {:?}", begun.elapsed());
    let ran = cluster.program("alice@login", ["srun", "-w", "node2", "hostname"]);
    assert_eq!(ran.code(0).stdout.trim(), "node2");
}

#[test]
fn nothing_is_left_of_a_cluster() {
    // With processes that serve its mounts.
    let cluster = or_skip!(Cluster::start_with(ClusterOptions { bindfs: true, ..ClusterOptions::default() }));
    // Jobs, commands and mounts of all kinds are going on.
    cluster.bash("alice@login", "sbatch -c 1 -o /dev/null --wrap 'setsid sleep 300 & sleep 300'").code(0);
    cluster.bash("root@node1", "mount -t tmpfs tmpfs /mnt; setsid sleep 300 >/dev/null 2>&1 &").code(0);
    let (state, namespaces) = (cluster.state().to_owned(), namespaces(&cluster));
    assert_eq!(namespaces.len(), 10, "{namespaces:?}");
    assert!(!left(&state, &namespaces).is_empty());
    drop(cluster);
    nothing_is_left(&state, &namespaces);
}

#[test]
fn a_cluster_ends_with_who_started_it() {
    or_skip!(Cluster::shared());
    // With and without an accident in between: a host whose first process is killed, and the one that holds the network.
    for (accident, stop) in
        [(None, None), (Some("node1"), None), (Some("net"), None), (None, Some(Signal::SIGTERM))]
    {
        let state = tempfile_in_var();
        let mut session = Command::new(script("session"))
            .arg(&state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(session.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let of = |host: &str| {
            let id = fs_err::read_to_string(state.join("hosts").join(host)).unwrap();
            Process::now(id.trim().parse().unwrap()).unwrap()
        };
        if let Some(host) = accident {
            of(host).signal(Signal::SIGKILL);
        }
        // Without the pipe, as when the process that holds it was killed.
        let stdin = session.stdin.take();
        match stop {
            Some(signal) => Process::now(i32::try_from(session.id()).unwrap()).unwrap().signal(signal),
            None => drop(stdin),
        }
        let status = session.wait().unwrap();
        assert_eq!(status.code(), Some(if stop.is_some() { 143 } else { 0 }));
        nothing_is_left(&state, &[]);
    }
}

#[test]
fn a_start_that_is_killed_can_be_cleaned_up() {
    or_skip!(Cluster::shared());
    let mut random = Random::new();
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGKILL, Signal::SIGINT, Signal::SIGKILL] {
        let state = tempfile_in_var();
        let mut up = Command::new(script("up"))
            .arg(&state)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        std::thread::sleep(random.below(Duration::from_millis(800)));
        Process::now(i32::try_from(up.id()).unwrap()).inspect(|process| process.signal(signal));
        up.wait().unwrap();
        for _ in 0..2 {
            Program::new(script("down"), Path::new("/")).args([&state]).code(0);
        }
        // Commands of the start that nobody ended come to their end without it.
        eventually("nothing is left", PATIENCE, || left(&state, &[]).is_empty().then_some(()));
    }
}

#[test]
fn a_folder_that_is_in_use_is_refused() {
    let cluster = or_skip!(Cluster::shared());
    let up = Program::new(script("up"), Path::new("/"));
    up.args([cluster.state()]).code(75).one_sentence();
    cluster.program("login", ["true"]).code(0);
    let node = Program::new(script("node"), Path::new("/"));
    node.args([cluster.state()]).args(["up", "node1"]).code(75).one_sentence();
}

#[test]
fn who_is_not_root_hears_it() {
    if !geteuid().is_root() {
        skip!("needs root, to become somebody else");
    }
    // From where he can read it.
    let copy = tempfile_in_var();
    fs_err::create_dir(&copy).unwrap();
    for name in ["up", "build", "session", "down"] {
        fs_err::copy(script(name), copy.join(name)).unwrap();
    }
    for name in ["up", "session"] {
        let state = copy.join("state");
        let asked = Program::new(copy.join(name), Path::new("/")).args([&state]).as_user(54_321);
        asked.code(69).one_sentence().stderr_contains("needs root");
        assert!(!state.exists());
    }
    fs_err::remove_dir_all(copy).unwrap();
}

/// A path in /var/tmp that nothing has.
fn tempfile_in_var() -> PathBuf {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    PathBuf::from(format!("/var/tmp/bft-own-{}-{number}", std::process::id()))
}
