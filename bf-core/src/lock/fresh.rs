//! What the file server says, and not what this host remembers of it.

use std::io;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

/// A moment by the clock of a file server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    seconds: i64,
    nanoseconds: u32,
}

impl Moment {
    /// How much later this is than `other`; nothing if it is not.
    pub(super) fn since(self, other: Self) -> Duration {
        let nanoseconds =
            |moment: Self| i128::from(moment.seconds) * 1_000_000_000 + i128::from(moment.nanoseconds);
        let between = nanoseconds(self) - nanoseconds(other);
        Duration::from_nanos(u64::try_from(between.max(0)).unwrap_or(u64::MAX))
    }
}

/// When a file was changed, asked of the server. The host then knows the file's length and that of a folder's names as well.
pub(super) fn modified(path: &Path) -> io::Result<Moment> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_FORCE_SYNC;
    match statx(CWD, path, flags, StatxFlags::BASIC_STATS) {
        Ok(found) => Ok(Moment { seconds: found.stx_mtime.tv_sec, nanoseconds: found.stx_mtime.tv_nsec }),
        Err(errno) if errno.raw_os_error() == Errno::ENOSYS as i32 => {
            // A kernel without statx: what it has to say must do, and who waits watches longer than caches live.
            use fs_err::os::unix::fs::OpenOptionsExt;
            use std::os::unix::fs::MetadataExt;
            let flags = crate::bounded::Links::Refuse.flags();
            let found = fs_err::OpenOptions::new().read(true).custom_flags(flags).open(path)?.metadata()?;
            let nanoseconds = u32::try_from(found.mtime_nsec()).unwrap_or(0);
            Ok(Moment { seconds: found.mtime(), nanoseconds })
        }
        Err(errno) => {
            let error = io::Error::from(errno);
            Err(io::Error::new(error.kind(), format!("cannot look at {}: {error}", path.display())))
        }
    }
}

/// Has this host forget what it remembers of a file or folder. What is not there needs no forgetting, and what may not be looked at
/// will be told by who reads it.
pub(crate) fn refresh(path: &Path) {
    let _ = modified(path);
}

/// The same for an open file.
pub(crate) fn refresh_open(file: &std::fs::File) {
    let _ = statx(file, "", AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC, StatxFlags::BASIC_STATS);
}
