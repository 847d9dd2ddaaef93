//! Runs one of our programs and says what is expected of it: `site.user(["ls"]).code(0).stdout_contains("...")`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A command that takes longer hangs, unless it has a limit of its own.
const PATIENCE: Duration = Duration::from_mins(3);

/// A program with its arguments, not started yet.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    folder: PathBuf,
    input: Vec<u8>,
    umask: Option<u32>,
    user: Option<u32>,
    address_space: Option<u64>,
    /// Where the most memory that it had is written, in kB.
    measure: Option<PathBuf>,
    limit: Duration,
    /// What runs it elsewhere: the command that the rest is given to.
    within: Vec<OsString>,
}

/// Runs the rest, and writes what it and all that it waited for had resident at most into the file that is named first.
const MEASURE: &str = "
import os, sys
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], 'w') as file:
    file.write(str(usage.ru_maxrss))
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
";

/// How it ended and what it said.
#[derive(Debug, Clone)]
pub struct Outcome {
    command: String,
    /// Exit code; 128 and the number of a signal.
    pub exit: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Program {
    /// The program at `path`, with nothing of our environment but what reaches the network.
    pub fn new(path: impl Into<PathBuf>, folder: &Path) -> Self {
        let kept = |name: &str| {
            let upper = name.to_uppercase();
            ["PIP_", "SSL_", "REQUESTS_"].iter().any(|prefix| upper.starts_with(prefix))
                || upper.ends_with("_PROXY")
                || name == "PATH"
        };
        let env = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(kept)).collect();
        Self { env, ..Self::within([] as [&str; 0], path).folder(folder) }
    }

    /// The program at `path`, as seen by the command `within`, which runs it in another place with a clean environment, as
    /// `tests/cluster/at` does. Variables and the folder are those of that place.
    pub(crate) fn within<S: AsRef<OsStr>>(
        within: impl IntoIterator<Item = S>,
        path: impl Into<PathBuf>,
    ) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            env: BTreeMap::new(),
            folder: PathBuf::new(),
            input: Vec::new(),
            umask: None,
            user: None,
            address_space: None,
            measure: None,
            limit: PATIENCE,
            within: within.into_iter().map(|word| word.as_ref().to_owned()).collect(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.into(), value.as_ref().to_owned());
        self
    }

    /// Unsets a variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(OsStr::new(name));
        self
    }

    /// Sets the current folder.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.folder);
        self
    }

    /// Gives it something to read.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        self.input = text.as_bytes().to_vec();
        self
    }

    /// Runs it with this umask.
    #[must_use]
    pub fn umask(mut self, umask: u32) -> Self {
        self.umask = Some(umask);
        self
    }

    /// Runs it as this user and group, without further groups. Needs root.
    #[must_use]
    pub fn as_user(mut self, id: u32) -> Self {
        self.user = Some(id);
        self
    }

    /// Gives it so many bytes of addresses at most: more memory than that it does not get.
    #[must_use]
    pub fn address_space(mut self, bytes: u64) -> Self {
        self.address_space = Some(bytes);
        self
    }

    /// Gives it another time after which it hangs.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts it with these streams.
    fn spawn_with(&self, output: impl Fn() -> Stdio) -> Child {
        let mut words = self.within.clone();
        if !self.within.is_empty() && !self.folder.as_os_str().is_empty() {
            words.extend(["env".into(), "--chdir".into(), self.folder.clone().into()]);
        }
        if let Some(id) = self.user {
            let ids = [format!("--reuid={id}"), format!("--regid={id}"), "--clear-groups".into()];
            words.push("setpriv".into());
            words.extend(ids.map(OsString::from));
        }
        if let Some(umask) = self.umask {
            words.extend(["sh", "-c"].map(OsString::from));
            words.push(format!("umask {umask:04o}; exec \"$@\"").into());
            words.push("sh".into());
        }
        if let Some(bytes) = self.address_space {
            words.extend(["prlimit".into(), format!("--as={bytes}").into()]);
        }
        if let Some(file) = &self.measure {
            words.extend(["python3".into(), "-c".into(), MEASURE.into(), file.into()]);
        }
        words.push(self.path.clone().into());
        words.extend(self.arguments.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear();
        if self.within.is_empty() {
            command.envs(&self.env).current_dir(&self.folder);
        } else {
            command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
            // Not as arguments, which anybody sees.
            for (name, value) in &self.env {
                let mut there = OsString::from("BF_AT_");
                there.push(name);
                command.env(there, value);
            }
        }
        command.stdin(Stdio::piped()).stdout(output()).stderr(output());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.line()));
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(&self.input); // who does not read it need not
        }
        child
    }

    /// Starts it and leaves it alone; what it says is lost.
    pub fn spawn(&self) -> Child {
        self.spawn_with(Stdio::null)
    }

    /// Runs it to its end. A program that leaves something behind that holds its output open hangs here, as it would in `$(...)`.
    pub fn run(&self) -> Outcome {
        let begun = Instant::now();
        let mut child = self.spawn_with(Stdio::piped);
        let out = Reader::of(child.stdout.take().expect("its output"));
        let err = Reader::of(child.stderr.take().expect("its errors"));
        let ended_in_time =
            [&out, &err].iter().all(|reader| reader.ended(self.limit.saturating_sub(begun.elapsed())));
        if !ended_in_time {
            let why = if child.try_wait().ok().flatten().is_some() {
                "left its output open"
            } else {
                "did not end"
            };
            let _ = child.kill();
            let (line, limit, out, err) = (self.line(), self.limit, out.text(), err.text());
            panic!("`{line}` {why} within {limit:?}\n--- stdout so far\n{out}\n--- stderr so far\n{err}");
        }
        let (stdout, stderr) = (out.text(), err.text());
        let status = child.wait().expect("its end");
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        let exit = status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0));
        let outcome = Outcome { command: self.line(), exit, stdout, stderr, took: begun.elapsed() };
        assert!(!outcome.stderr.contains("panicked"), "{outcome}");
        outcome
    }

    /// Runs it to its end, and says what it had resident at most, in bytes. Not elsewhere, but here.
    pub fn measured(&self) -> (Outcome, u64) {
        let file = tempfile::NamedTempFile::new_in("/var/tmp").expect("a file");
        let measured = Self { measure: Some(file.path().to_owned()), ..self.clone() };
        let outcome = measured.run();
        let said = fs_err::read_to_string(file.path()).expect("what was measured");
        let kilobytes: u64 = said.parse().unwrap_or_else(|_| panic!("not measured ({said}): {outcome}"));
        (outcome, kilobytes * 1024)
    }

    /// Runs it and expects this exit code.
    pub fn code(&self, expected: i32) -> Outcome {
        let outcome = self.run();
        assert_eq!(outcome.exit, expected, "{outcome}");
        outcome
    }

    fn line(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let words = self.arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
        std::iter::once(name).chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// Reads a stream to its end, aside.
struct Reader {
    bytes: Arc<Mutex<Vec<u8>>>,
    end: mpsc::Receiver<()>,
}

impl Reader {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (sender, end) = mpsc::channel();
        let all = Arc::clone(&bytes);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                all.lock().expect("what was read").extend_from_slice(&buffer[..count]);
            }
            let _ = sender.send(());
        });
        Self { bytes, end }
    }

    /// Whether the stream ends in that time.
    fn ended(&self, patience: Duration) -> bool {
        self.end.recv_timeout(patience).is_ok()
    }

    /// What was read so far.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("what was read")).into_owned()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` ended with {}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.exit, self.stdout, self.stderr
        )
    }
}

impl Outcome {
    /// Expects this text on standard output.
    #[allow(clippy::return_self_not_must_use)] // the expectation is what is wanted
    pub fn stdout_contains(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no `{text}` on stdout: {self}");
        self
    }

    /// Expects this text on standard error.
    #[allow(clippy::return_self_not_must_use)]
    pub fn stderr_contains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` on stderr: {self}");
        self
    }

    /// Expects one sentence of failure: `error: ...` once, then hints only.
    #[allow(clippy::return_self_not_must_use)]
    pub fn one_sentence(self) -> Self {
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "one `error:` line is expected: {self}");
        assert!(errors[0].len() > "error: ".len() + 10, "that says nothing: {self}");
        for noise in ["panicked", "RUST_BACKTRACE", "Os {", "os error", "Error(", "Some(", "Err("] {
            assert!(!self.stderr.contains(noise), "`{noise}` is not for people: {self}");
        }
        self
    }

    /// Its standard output as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self}"))
    }
}
