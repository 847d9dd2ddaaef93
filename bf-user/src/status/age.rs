//! Ages of files by the clock of the file server that holds them: two hosts' clocks may differ by more than a heartbeat.

use std::path::Path;
use std::time::{Duration, SystemTime};

/// Now, as the server of a home directory sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    now: SystemTime,
}

impl Clock {
    /// Asks the filesystem of `home_dir` for its time, by writing a small file there. Where that cannot be done, this
    /// host's clock has to do.
    pub(super) fn of(home_dir: &Path) -> Self {
        let path = home_dir.join(".clock");
        let written =
            fs_err::write(&path, b"").and_then(|()| fs_err::metadata(&path)).and_then(|meta| meta.modified());
        Self { now: written.unwrap_or_else(|_| SystemTime::now()) }
    }

    /// Seconds since the file or folder was changed; `None` if that is not known.
    pub(super) fn age(&self, path: &Path) -> Option<f64> {
        let modified = fs_err::metadata(path).and_then(|meta| meta.modified()).ok()?;
        Some(self.now.duration_since(modified).unwrap_or(Duration::ZERO).as_secs_f64())
    }
}
