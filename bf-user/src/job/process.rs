//! Whether the process of a job without a scheduler is still that process.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bf_core::report::Failure;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{LocalJob, SCHEMA};

/// What is known about a job's process from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// It runs here.
    Alive,
    /// It ended, or the host was started again.
    Gone,
    /// It was started on another host, which cannot be seen from here.
    Elsewhere,
}

impl LocalJob {
    /// The identity of a process that runs now.
    pub(crate) fn of(pid: i32) -> Result<Self, Failure> {
        let start_ticks = start_ticks(pid).ok_or_else(|| {
            Failure::new(bf_core::report::Exit::Failed, "job_not_started", "the job ended before it began")
        })?;
        Ok(Self { schema: SCHEMA, pid, start_ticks, boot_id: boot_id()?, host: bf_core::host::name() })
    }

    /// The process of this user that runs `supervise JOBDIR`, if there is one.
    pub(super) fn search(job_dir: &Path) -> Result<Option<Self>, Failure> {
        for entry in fs_err::read_dir("/proc")? {
            let entry = entry?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // One that has ended meanwhile, or is not ours to look at, is not it.
            let own = entry.metadata().is_ok_and(|meta| meta.uid() == nix::unistd::geteuid().as_raw());
            let Some(command) = fs_err::read(entry.path().join("cmdline")).ok().filter(|_| own) else {
                continue;
            };
            let mut words = command.split(|byte| *byte == 0).skip(1);
            if words.next() == Some(b"supervise") && words.next() == Some(job_dir.as_os_str().as_bytes()) {
                return Self::of(pid).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether it still runs.
    pub(crate) fn liveness(&self) -> Result<Liveness, Failure> {
        if self.host != bf_core::host::name() {
            return Ok(Liveness::Elsewhere);
        }
        let same = boot_id()? == self.boot_id && start_ticks(self.pid) == Some(self.start_ticks);
        Ok(if same { Liveness::Alive } else { Liveness::Gone })
    }

    /// Sends it a signal, if it still is that process. That it ended meanwhile is fine.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        if self.liveness()? != Liveness::Alive {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(std::io::Error::from(errno).into()),
        }
    }
}

/// Field 22 of `/proc/<pid>/stat` (proc(5)); `None` if it is gone or only waits to be reaped.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything: fields are counted after the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if matches!(fields.first(), Some(&("Z" | "X"))) {
        return None;
    }
    fields.get(19)?.parse().ok()
}

fn boot_id() -> Result<String, Failure> {
    Ok(fs_err::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_time_too() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let me = LocalJob::of(pid).unwrap();
        assert_eq!(me.liveness().unwrap(), Liveness::Alive);
        let other = LocalJob { start_ticks: me.start_ticks + 1, ..me.clone() };
        assert_eq!(other.liveness().unwrap(), Liveness::Gone);
        let other = LocalJob { host: "elsewhere".into(), ..me };
        assert_eq!(other.liveness().unwrap(), Liveness::Elsewhere);
    }
}
