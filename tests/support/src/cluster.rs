//! A real Slurm cluster of one's own: three hosts in namespaces, made by `tests/cluster`, whose README says what is in it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use crate::place::binary;
use crate::program::Program;

/// The first cluster on a machine waits for its root filesystem to be built.
const BUILD: Duration = Duration::from_mins(15);
/// How long a cluster may take to end.
const END: Duration = Duration::from_mins(1);

/// A running cluster: `login`, `node1` and `node2`, with the users `root`, `alice`, `bob` and `blackfish`.
///
/// It ends when this is dropped, or with the test program, however that ends.
#[derive(Debug)]
pub struct Cluster {
    state: PathBuf,
    session: Child,
    tools: OnceLock<()>,
}

/// What a cluster has that most do not need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Slurm's accounting.
    pub accounting: bool,
    /// `/home` and `/shared` as a network filesystem: each host through a FUSE process of its own, which caches names and attributes for
    /// 30 s, and root is nobody there. `install_tools` before anybody has looked whether they are there.
    pub bindfs: bool,
    /// Users see their own jobs only (`PrivateData`).
    pub private: bool,
}

/// A script of `tests/cluster`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster").join(name)
}

impl Cluster {
    /// Starts a cluster of one's own, with or without Slurm's accounting.
    ///
    /// `Err` says why this machine cannot: the test is to be skipped. A cluster that fails to start is a failure.
    pub fn start(accounting: bool) -> Result<Self, String> {
        Self::start_with(Options { accounting, ..Options::default() })
    }

    /// Starts a cluster of one's own with these options; as `start`.
    pub fn start_with(options: Options) -> Result<Self, String> {
        let place = tempfile::Builder::new().prefix("bft-cluster-").tempdir_in("/var/tmp");
        // Its end removes it, and not we: it may still be mounted.
        let state = place.map_err(|error| error.to_string())?.keep();
        let mut command = Command::new(script("session"));
        command.arg(&state).args(options.accounting.then_some("--accounting"));
        command.args(options.bindfs.then_some("--bindfs"));
        command.args(options.private.then_some("--private"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Who kills all of us at once must not keep it from ending the cluster.
        command.process_group(0);
        let mut session = command.spawn().map_err(|error| error.to_string())?;
        let (sender, receiver) = mpsc::channel();
        let mut out = BufReader::new(session.stdout.take().expect("its output"));
        let mut err = session.stderr.take().expect("its errors");
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = out.read_line(&mut line);
            let _ = sender.send(line);
        });
        // Read as it comes, so that it never waits for us.
        let said = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = err.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut cluster = Self { state, session, tools: OnceLock::new() };
        if receiver.recv_timeout(BUILD).is_ok_and(|line| line == "ready\n") {
            return Ok(cluster);
        }
        let code = cluster.end();
        let said = said.join().expect("what it said");
        let sentence = said.lines().find_map(|line| line.strip_prefix("error: "));
        match sentence {
            Some(sentence) if code == Some(69) => Err(sentence.to_owned()),
            _ => panic!("the test cluster did not start ({code:?}): {said}"),
        }
    }

    /// The cluster that all tests of this program share: without accounting, and busy with what the others do. A test that ends nodes or
    /// fills a partition starts one of its own.
    pub fn shared() -> Result<&'static Self, String> {
        static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
        CLUSTER.get_or_init(|| Self::start(false)).as_ref().map_err(Clone::clone)
    }

    /// A command on a host, as `HOST` (by root) or `USER@HOST`, in that user's home, with a clean environment: `.env()` and `.folder()`
    /// are those of the host. `/shared/tools` is in `PATH`. Input that is not given is empty.
    pub fn program<S: AsRef<OsStr>>(&self, place: &str, words: impl IntoIterator<Item = S>) -> Program {
        let mut words = words.into_iter();
        let first = words.next().expect("a command").as_ref().to_owned();
        let at = [script("at").into_os_string(), self.state.clone().into_os_string(), place.into()];
        Program::within(at, PathBuf::from(first)).args(words)
    }

    /// A line for bash on a host; as `program`.
    pub fn bash(&self, place: &str, line: &str) -> Program {
        self.program(place, ["bash", "-c", line])
    }

    /// The folder of its state on this machine.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// `/shared` of all hosts, as this machine sees it.
    pub fn shared_dir(&self) -> PathBuf {
        self.state.join("shared")
    }

    /// The home of a user (`alice`, `bob`, `blackfish`), as this machine sees it.
    pub fn home(&self, user: &str) -> PathBuf {
        self.state.join("home").join(user)
    }

    /// A log of a host: `slurmctld.log`, `slurmd.log`, `slurmdbd.log`, ... Empty if there is none.
    pub fn log(&self, host: &str, name: &str) -> String {
        let path = self.state.join(host).join("upper/var/log").join(name);
        String::from_utf8_lossy(&fs_err::read(path).unwrap_or_default()).into_owned()
    }

    /// Puts bf-admin and bf-user of this build into `/shared/tools`, once.
    pub fn install_tools(&self) {
        self.tools.get_or_init(|| {
            for name in ["bf-admin", "bf-user"] {
                self.put(&binary(name), &format!("/shared/tools/{name}"));
            }
        });
    }

    /// Copies a file or a folder of this machine to `inside`, a path below `/shared` or `/home`. It belongs to root there, and keeps its mode.
    pub fn put(&self, from: &Path, inside: &str) {
        let known = ["/shared/", "/home/"].iter().any(|prefix| inside.starts_with(prefix));
        assert!(known && !inside.contains("/../"), "{inside} is not below /shared or /home");
        let to = self.state.join(&inside[1..]);
        let parent = to.parent().expect("a folder");
        if !parent.exists() {
            // Whatever our umask is.
            Program::new("install", Path::new("/")).args(["-d", "-m", "755"]).args([parent]).code(0);
        }
        let copy = ["--recursive", "--preserve=mode,timestamps,links", "--no-target-directory", "--"];
        Program::new("cp", Path::new("/")).args(copy).args([from, &to]).code(0);
    }

    /// The process id of a host's first process, as this machine sees it.
    pub fn pid_of(&self, host: &str) -> i32 {
        let file = self.state.join("hosts").join(host);
        fs_err::read_to_string(file).expect("a host that runs").trim().parse().expect("a process id")
    }

    /// What anybody can see of the processes of a host: `ps -eo pid,user,args`, and all arguments and environments that a stranger can
    /// read, one to a line.
    pub fn processes(&self, host: &str) -> String {
        let ps = self.program(host, ["ps", "-eo", "pid,user:16,args", "-ww"]).code(0).stdout;
        let read = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'";
        let seen = self.bash(host, read).as_user(65_534).code(0).stdout;
        ps + &seen
    }

    /// Ends a host as a power failure would: everything on it dies at once, its disk stays. Slurm notices within half a minute.
    pub fn node_down(&self, host: &str) {
        self.node("down", host);
    }

    /// Starts a host again, with munge and Slurm; it is idle some seconds later.
    pub fn node_up(&self, host: &str) {
        self.node("up", host);
    }

    fn node(&self, what: &str, host: &str) {
        let words = [self.state.as_os_str(), OsStr::new(what), OsStr::new(host)];
        Program::new(script("node"), Path::new("/")).args(words).code(0);
    }

    /// Ends it: the exit code of its session, if that ended by itself.
    fn end(&mut self) -> Option<i32> {
        drop(self.session.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < END {
            match self.session.try_wait() {
                Ok(Some(status)) => return status.code(),
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Err(_) => break,
            }
        }
        eprintln!("the session of {} does not end: tests/cluster/down does", self.state.display());
        None
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // For who looks at a test that failed.
        if std::thread::panicking() {
            for (host, log) in [("login", "slurmctld.log"), ("node1", "slurmd.log"), ("node2", "slurmd.log")]
            {
                let text = self.log(host, log);
                let lines: Vec<&str> = text.lines().rev().take(10).collect();
                let last = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
                eprintln!("--- the end of {log} on {host}\n{last}");
            }
        }
        self.end();
    }
}
