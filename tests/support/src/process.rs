//! Processes by their id, never by their name: as `/proc` shows them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process, told from a later one with the same id by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    start: u64,
}

/// Parent and start time, unless it is gone or only waits to be reaped.
fn stat(pid: i32) -> Option<(i32, u64)> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if matches!(fields.first(), Some(&("Z" | "X"))) {
        return None;
    }
    Some((fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs_err::read_dir("/proc").expect("/proc");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Whether a process with this id runs.
pub fn is_alive(pid: i32) -> bool {
    stat(pid).is_some()
}

impl Process {
    /// The process that has this id now.
    pub fn now(pid: i32) -> Option<Self> {
        stat(pid).map(|(_, start)| Self { pid, start })
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|(_, start)| start == self.start)
    }

    /// Its children that run.
    pub fn children(self) -> Vec<Self> {
        let child = |pid| {
            let (parent, start) = stat(pid)?;
            (parent == self.pid).then_some(Self { pid, start })
        };
        pids().filter_map(child).collect()
    }

    /// Its children, and theirs, and so on.
    pub fn descendants(self) -> Vec<Self> {
        let mut all = self.children();
        let mut next = 0;
        while let Some(process) = all.get(next).copied() {
            all.extend(process.children());
            next += 1;
        }
        all
    }

    /// Sends a signal, if it still runs.
    pub fn signal(self, signal: Signal) {
        if self.is_alive() {
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Its arguments.
    pub fn arguments(self) -> Vec<String> {
        let bytes = fs_err::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    }

    /// Waits until it is gone; whether it is.
    pub fn gone_within(self, patience: Duration) -> bool {
        let begun = std::time::Instant::now();
        while self.is_alive() {
            if begun.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

/// The places in `/proc` (arguments and environments of all processes we may look at) and in `files` that hold `secret`.
pub fn readable_anywhere(secret: &str, files: &[PathBuf]) -> Vec<PathBuf> {
    let of_processes = pids().flat_map(|pid| {
        ["cmdline", "environ"].map(|name| Path::new("/proc").join(pid.to_string()).join(name))
    });
    of_processes.chain(files.iter().cloned()).filter(|path| holds(path, secret)).collect()
}

fn holds(path: &Path, secret: &str) -> bool {
    let bytes = fs_err::read(path).unwrap_or_default();
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_and_its_end_seen() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let me = Process::now(i32::try_from(std::process::id()).unwrap()).unwrap();
        let process = Process::now(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(me.descendants().contains(&process));
        // Between its start and its arguments the system shows none.
        let arguments = || process.arguments().get(1).cloned();
        assert_eq!(crate::eventually("its arguments", Duration::from_secs(5), arguments), "60");
        child.kill().unwrap();
        assert!(process.gone_within(Duration::from_secs(5)));
        child.wait().unwrap();
    }
}
