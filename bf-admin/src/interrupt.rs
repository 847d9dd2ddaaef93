//! Ctrl-C while something is fetched: one sentence that says what stays, before the process ends by the signal, as shells expect of it.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bf_core::report::{Exit, Failure};
use nix::sys::signal::{SigSet, Signal, raise};

use crate::printer::Printer;

/// Watches until it is dropped: from then on nothing is said any more.
#[derive(Debug)]
pub(crate) struct Watch {
    ended: Arc<Mutex<bool>>,
}

impl Watch {
    /// Begins to watch, before any other thread is there. `hint` says what becomes of what was done so far.
    ///
    /// Programs that are started meanwhile take the signal as ever: `std::process::Command` blocks none in them.
    pub(crate) fn begin(printer: Printer, hint: &'static str) -> Self {
        let ended = Arc::new(Mutex::new(false));
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        // Where it cannot be blocked it ends the process, and nothing is said.
        if !is_ignored() && signals.thread_block().is_ok() {
            let ended = Arc::clone(&ended);
            thread::spawn(move || {
                while signals.wait().is_err() {}
                say(printer, hint, &ended);
                // Not by an exit code: a shell would go on with its next command.
                if signals.thread_unblock().is_ok() {
                    let _ = raise(Signal::SIGINT);
                }
            });
        }
        Self { ended }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

fn say(printer: Printer, hint: &'static str, ended: &Mutex<bool>) {
    let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
    if *ended {
        return;
    }
    // Of a line that was drawn nothing stays in front of it.
    if io::stderr().is_terminal() {
        let _ = io::stderr().lock().write_all(b"\r\x1b[J");
    }
    let failure = Failure::new(Exit::Interrupted, "interrupted", "interrupted").with_hint(hint);
    printer.finish(Err(failure));
}

/// Whether this process ignores SIGINT, as in the background of a shell: what is blocked would reach it all the same. The bits of `SigIgn`
/// in proc_pid_status(5) are signals, from 1.
fn is_ignored() -> bool {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & 0b10 != 0)
}
