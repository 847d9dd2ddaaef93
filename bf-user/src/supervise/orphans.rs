//! Processes whose parent died: adopted, so that none of an engine's can get away, and ended.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::life::{Call, Life};
use crate::job::Scheduler;

/// From now on, orphans among our descendants become our children (prctl(2), `PR_SET_CHILD_SUBREAPER`).
pub(super) fn adopt() -> io::Result<()> {
    prctl::set_child_subreaper(true).map_err(io::Error::from)
}

/// Watches whether we are orphans ourselves: a job whose first process is gone is over for Slurm, which gives its cores to others. Returns
/// never; the supervisor aborts it.
pub(super) async fn watch_parent(scheduler: Scheduler, life: Arc<Life>) {
    const PERIOD: Duration = Duration::from_secs(2);
    let parent = nix::unistd::getppid();
    loop {
        tokio::time::sleep(PERIOD).await;
        if scheduler == Scheduler::Slurm && nix::unistd::getppid() != parent {
            life.call(Call::Orphaned);
        }
    }
}

/// Ends all our children, and theirs as they become ours: asks them first, kills them after `grace`. Reaps every one.
pub(super) fn end(grace: Duration) -> io::Result<()> {
    let deadline = Instant::now() + grace;
    loop {
        loop {
            match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::ECHILD) => return Ok(()),
                Ok(WaitStatus::StillAlive) => break,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let signal = if Instant::now() >= deadline { Signal::SIGKILL } else { Signal::SIGTERM };
        for child in children()? {
            let _ = kill(child, signal); // one that ended meanwhile is reaped above
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Our children: whoever names us as parent in `/proc/<pid>/stat` (proc(5)).
fn children() -> io::Result<Vec<Pid>> {
    let us = std::process::id().to_string();
    let mut children = Vec::new();
    for entry in fs_err::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that ended meanwhile is not ours to end.
        let Ok(stat) = fs_err::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        if parent == Some(us.as_str()) {
            children.push(Pid::from_raw(pid));
        }
    }
    Ok(children)
}
