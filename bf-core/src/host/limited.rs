//! Runs a program that may hang or never stop talking.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::command::{CommandError, display_name};

/// How long a program may take and how much it may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time until it is killed.
    pub time: Duration,
    /// Bytes it may write, to each of stdout and stderr.
    pub output: u64,
}

/// What a program that came to its end said, whatever that end was.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Its standard error; bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

/// Runs `command` with no standard input and within `limits`. A program that exceeds them is killed, and with it all that it
/// started in its process group.
///
/// To end with something else than 0 is no error here: the caller knows what the program means by it.
pub fn run_within(command: &mut Command, limits: Limits) -> Result<Ended, CommandError> {
    run_fed(command, "", limits)
}

/// As [`run_within`], with a short text as standard input: no more than a pipe takes at once, 4096 bytes.
pub fn run_fed(command: &mut Command, input: &str, limits: Limits) -> Result<Ended, CommandError> {
    let program = display_name(command.get_program());
    let not_started = |source| CommandError::NotStarted { program: program.clone(), source };
    let deadline = Instant::now() + limits.time;
    let mut child = command
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that it can be killed with its children and without us.
        .process_group(0)
        .spawn()
        .map_err(not_started)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read it says itself what it thinks of that.
        let _ = stdin.write_all(input.as_bytes());
    }
    let stdout = gather(child.stdout.take(), limits.output);
    let stderr = gather(child.stderr.take(), limits.output);
    match outcome(&mut child, &stdout, &stderr, deadline, limits) {
        Ok((status, stdout, stderr)) => Ok(Ended { status, stdout: text(&stdout), stderr: text(&stderr) }),
        Err(excess) => {
            kill(&mut child);
            Err(match excess {
                Excess::Time => CommandError::TimedOut { program, seconds: limits.time.as_secs() },
                Excess::Output => CommandError::TooMuch { program, bytes: limits.output },
                Excess::Io(source) => CommandError::NotStarted { program, source },
            })
        }
    }
}

/// Why a program is not waited for any longer.
enum Excess {
    Time,
    Output,
    Io(io::Error),
}

type Bytes = io::Result<Vec<u8>>;

fn outcome(
    child: &mut Child,
    stdout: &Receiver<Bytes>,
    stderr: &Receiver<Bytes>,
    deadline: Instant,
    limits: Limits,
) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), Excess> {
    let stdout = received(stdout, deadline, limits.output)?;
    let stderr = received(stderr, deadline, limits.output)?;
    // Both streams are closed, so it is ending, unless it is a program that closes them and goes on.
    let mut pause = Duration::from_micros(100);
    loop {
        if let Some(status) = child.try_wait().map_err(Excess::Io)? {
            return Ok((status, stdout, stderr));
        }
        if Instant::now() >= deadline {
            return Err(Excess::Time);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn received(bytes: &Receiver<Bytes>, deadline: Instant, limit: u64) -> Result<Vec<u8>, Excess> {
    let left = deadline.saturating_duration_since(Instant::now());
    let bytes = bytes.recv_timeout(left).map_err(|_| Excess::Time)?.map_err(Excess::Io)?;
    if bytes.len() as u64 > limit { Err(Excess::Output) } else { Ok(bytes) }
}

/// Reads a stream to its end, or one byte past the limit. In a thread that nobody joins: a grandchild may hold the stream open for ever.
fn gather(stream: Option<impl Read + Send + 'static>, limit: u64) -> Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = match stream {
            Some(stream) => stream.take(limit.saturating_add(1)).read_to_end(&mut bytes).map(|_| bytes),
            None => Ok(bytes),
        };
        // Nobody listens any more when the time is over.
        let _ = sender.send(read);
    });
    receiver
}

fn kill(child: &mut Child) {
    // It has not been waited for, so its id, which is its group's, is still its own.
    if let Ok(id) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, time: Duration) -> Result<Ended, CommandError> {
        run_within(Command::new("sh").args(["-c", script]), Limits { time, output: 1000 })
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn both_streams_and_the_ending_are_kept() {
        let ended = sh("echo out; echo err >&2; exit 3", LONG).unwrap();
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(ended.status.code(), Some(3));
    }

    #[test]
    fn what_is_fed_can_be_read() {
        let limits = Limits { time: LONG, output: 1000 };
        let ended = run_fed(&mut Command::new("cat"), "a text", limits).unwrap();
        assert_eq!(ended.stdout, "a text");
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! >{}; wait", pid.display());
        let begun = Instant::now();
        let error = sh(&script, Duration::from_millis(300)).unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        assert!(begun.elapsed() < LONG);
        let child: i32 = fs_err::read_to_string(&pid).unwrap().trim().parse().unwrap();
        let gone = || {
            let stat = fs_err::read_to_string(format!("/proc/{child}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z"))
        };
        while !gone() {
            assert!(begun.elapsed() < LONG, "the child lives on");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_program_that_closes_its_streams_is_waited_for_and_killed() {
        let error = sh("exec >&- 2>&-; sleep 1000", Duration::from_millis(300)).unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
    }

    #[test]
    fn a_program_that_does_not_stop_talking_is_killed() {
        let error = sh("yes", LONG).unwrap_err();
        assert!(matches!(error, CommandError::TooMuch { bytes: 1000, .. }), "{error}");
    }

    #[test]
    fn what_is_not_there_is_not_started() {
        let limits = Limits { time: LONG, output: 1000 };
        let error = run_within(&mut Command::new("/nonexistent/program"), limits).unwrap_err();
        assert!(matches!(error, CommandError::NotStarted { .. }), "{error}");
    }
}
