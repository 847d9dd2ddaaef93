//! What the engine's process is before it becomes the engine: it ties its life to the guardian's, then executes the engine.
//!
//! What must happen between fork and exec would need unsafe code in the parent; a small program of its own does not.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

use bf_core::report::{Exit, Failure};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, execv, getppid};

/// Becomes `command`, to be killed when the process `guardian` dies.
pub(crate) fn tether(guardian: i32, command: Vec<OsString>) -> Result<Infallible, Failure> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from)?;
    if getppid() != Pid::from_raw(guardian) {
        // It died before the line above.
        return Err(Failure::new(Exit::Failed, "guardian_gone", "the guardian is gone"));
    }
    // The guardian blocks the signals that ask to end; the engine must hear them.
    SigSet::empty().thread_set_mask().map_err(std::io::Error::from)?;
    let invalid = |_| Failure::new(Exit::Usage, "argument_invalid", "an argument holds a NUL byte");
    let arguments = command
        .into_iter()
        .map(|argument| CString::new(argument.into_vec()).map_err(invalid))
        .collect::<Result<Vec<_>, _>>()?;
    let program =
        arguments.first().ok_or_else(|| Failure::new(Exit::Usage, "no_command", "no command was given"))?;
    execv(program, &arguments).map_err(|errno| {
        let message = format!("{} cannot be started: {errno}", program.to_string_lossy());
        Failure::new(Exit::NotFound, "engine_program_missing", message)
    })
}
