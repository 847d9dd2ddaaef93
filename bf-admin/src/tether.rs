//! Ties a program's life to ours: a bf-admin that is killed must not leave a builder that writes into a folder which the
//! next run cleans.
//!
//! The program is started by this very bf-admin, executed again as `bf-admin tethered PROGRAM ...` in a process group of its own.
//! That one waits for the end of its standard input, which we hold open, and then ends the whole group.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use bf_core::report::{Exit, Failure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::getpgrp;

/// The hidden verb.
pub(crate) const VERB: &str = "tethered";

/// The command that runs `program`, to be ended when the other end of its standard input is closed. Arguments that are
/// added to it are the program's.
pub(crate) fn command(program: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(VERB).arg("--").arg(program).process_group(0).stdin(Stdio::piped());
    Ok(command)
}

/// Is the tethered process: runs `command` to its end.
pub(crate) fn run(command: &[OsString]) -> Result<Exit, Failure> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::new(Exit::Usage, "usage", "no program was given"));
    };
    let mut child = Command::new(program).args(arguments).stdin(Stdio::null()).spawn().map_err(|error| {
        let message = format!("{} cannot be started: {error}", Path::new(program).display());
        Failure::new(Exit::NotFound, "program_not_started", message)
    })?;
    std::thread::spawn(wait_and_end);
    // Why it failed it said itself.
    Ok(if child.wait()?.success() { Exit::Ok } else { Exit::Failed })
}

/// Waits until whoever started us is gone, then ends the process group: us, the program, and what it started.
fn wait_and_end() {
    let mut buffer = [0; 64];
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = killpg(getpgrp(), Signal::SIGKILL);
}
