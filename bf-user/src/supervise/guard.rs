//! The guardian: starts the engine, waits for it, and leaves nothing of it behind, whatever happens to the supervisor.
//!
//! Its standard input comes from the supervisor: first the order, then nothing until it ends. It ends when the supervisor
//! wants the engine gone, and just as well when the supervisor is killed, since then the kernel closes the pipe.

use std::io::{self, BufRead, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bf_core::report::{Exit, Failure};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{AccessFlags, Pid, access};

use super::engine::{Ended, Order};
use super::{orphans, workdir};
use crate::job::{Cause, End, JobDir};

/// How long a supervisor that gave the order to stop may take to say why in `end.json`, before we say it was killed.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(2);

/// Runs the engine of the order on standard input to its end.
pub(crate) fn guard() -> Result<(), Failure> {
    block_signals()?;
    orphans::adopt()?;
    let supervisor = nix::unistd::getppid();
    let mut input = io::stdin().lock();
    let mut line = String::new();
    input.read_line(&mut line)?;
    drop(input);
    let order: Order = serde_json::from_str(&line).map_err(|error| {
        Failure::new(Exit::Invalid, "order_invalid", format!("the order is not understood: {error}"))
    })?;
    let dir = JobDir::at(&order.job_dir);
    let _hold = workdir::hold(&order.work)?;

    let engine = match start(&order, &dir) {
        Ok(engine) => engine,
        Err(error) => {
            report(&Ended::NotStarted { error: error.to_string() });
            return Ok(());
        }
    };
    let over = Arc::new(AtomicBool::new(false));
    let grace = Duration::from_secs(order.grace_seconds);
    let stopper = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || stop_when_told(engine, grace, &over))
    };
    let ended = wait_for(engine)?;
    report(&ended);
    let _ = killpg(engine, Signal::SIGTERM);
    orphans::end(grace.min(Duration::from_secs(2)))?;
    over.store(true, Ordering::SeqCst);

    if supervisor_is_gone(supervisor) {
        workdir::remove(&order.work)?;
        let message = "the supervisor was killed, so its guardian ended the engine";
        let id = order.job_dir.file_name().unwrap_or_default().display();
        let hint = format!("start it again; `bf-user logs --supervisor {id}` shows what was before");
        dir.write_end(&End::new(Cause::Unknown, message).with_hint(hint))?;
    }
    // The supervisor, if it lives, closes our input when it has seen the news.
    drop(stopper);
    Ok(())
}

/// Those that ask to end are for the supervisor, which then tells us.
fn block_signals() -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        signals.add(signal);
    }
    signals.thread_block().map_err(io::Error::from)
}

fn start(order: &Order, dir: &JobDir) -> io::Result<Pid> {
    check_program(&order.command)?;
    let log = JobDir::append(&dir.engine_log())?;
    let child = Command::new(std::env::current_exe()?)
        .arg("tether")
        .arg(std::process::id().to_string())
        .arg("--")
        .args(&order.command)
        .env_clear()
        .envs(&order.env)
        .current_dir(order.work.join("home"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)
}

/// The engine's program must be there to run, and so must the interpreter that its first line names. The tether would find out
/// as well, but could tell only by an exit code that an engine may have, too.
fn check_program(command: &[String]) -> io::Result<()> {
    let program = Path::new(command.first().map_or("", String::as_str));
    if !program.is_absolute() {
        let message = format!("its program `{}` is not an absolute path", program.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let runnable = |path: &Path| {
        access(path, AccessFlags::X_OK).map_err(|errno| {
            io::Error::new(
                io::Error::from(errno).kind(),
                format!("{} cannot be run: {errno}", path.display()),
            )
        })
    };
    runnable(program)?;
    let mut head = Vec::new();
    fs_err::File::open(program)?.take(256).read_to_end(&mut head)?;
    let line = head.strip_prefix(b"#!").map(|rest| rest.split(|byte| *byte == b'\n').next().unwrap_or(rest));
    match line.and_then(|line| std::str::from_utf8(line).ok()?.split_whitespace().next()) {
        Some(interpreter) => runnable(Path::new(interpreter)),
        None => Ok(()),
    }
}

/// Waits for the end of standard input, then asks the engine's main process to end, and kills all of it after the grace. Only the main
/// one is asked: a container's runtime passes the signal on, and what is told twice may end badly.
fn stop_when_told(engine: Pid, grace: Duration, over: &AtomicBool) {
    let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
    if over.load(Ordering::SeqCst) {
        return;
    }
    let _ = kill(engine, Signal::SIGTERM);
    let deadline = Instant::now() + grace;
    while Instant::now() < deadline {
        if over.load(Ordering::SeqCst) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = killpg(engine, Signal::SIGKILL);
}

/// Reaps until the engine's main process has ended.
fn wait_for(engine: Pid) -> io::Result<Ended> {
    loop {
        match waitpid(None::<Pid>, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == engine => return Ok(Ended::Exit { code }),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == engine => {
                return Ok(Ended::Signal { number: signal as i32 });
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Tells the supervisor. That nobody listens any more is no error: the job is ending.
fn report(ended: &Ended) {
    let mut out = io::stdout().lock();
    if let Ok(line) = serde_json::to_string(ended) {
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }
}

/// Whether our parent died: then somebody else is our parent. One that is just ending is given some time.
fn supervisor_is_gone(supervisor: Pid) -> bool {
    let deadline = Instant::now() + SUPERVISOR_PATIENCE;
    loop {
        if nix::unistd::getppid() != supervisor {
            return true;
        }
        // A supervisor that lives waits for our end: it has no reason to go first.
        if Instant::now() >= deadline || !is_dying(supervisor) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the process is a zombie or gone.
fn is_dying(pid: Pid) -> bool {
    match fs_err::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X'])),
        Err(_) => true,
    }
}
