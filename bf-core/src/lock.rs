//! One writer at a time: the site lock. A proof of holding it ([`SiteGuard`]) is needed to publish anything.

use std::io::{Read, Seek, Write};
use std::path::PathBuf;

use fs_err::os::unix::fs::OpenOptionsExt;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::report::{Exit, Explain};
use crate::site::Layout;

/// Who holds a lock, written into the lock file for whoever waits or is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Host name.
    pub host: String,
    /// Process id on that host.
    pub pid: u32,
    /// Login name, or the numeric id if it has none.
    pub user: String,
    /// RFC 3339, when the lock was taken.
    pub since: String,
}

impl Owner {
    /// This process, now.
    pub fn me() -> Self {
        Self {
            host: crate::host::name(),
            pid: std::process::id(),
            user: crate::host::user(),
            since: crate::host::now(),
        }
    }
}

/// Why the lock was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody else is writing.
    #[error("the cache {} is being changed by {}", cache.display(), who(owner.as_ref()))]
    Busy {
        /// The cache.
        cache: PathBuf,
        /// Who holds the lock, if the lock file says so.
        owner: Option<Owner>,
    },
    /// The lock file cannot be made or read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn who(owner: Option<&Owner>) -> String {
    match owner {
        Some(owner) => {
            format!("{} (process {} on {}, since {})", owner.user, owner.pid, owner.host, owner.since)
        }
        None => "another process".into(),
    }
}

impl Explain for LockError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::Io(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Busy { .. } => Some("wait until it has finished, then run the command again".into()),
            Self::Io(error) => error.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Busy { .. } => Exit::Busy,
            Self::Io(error) => error.exit(),
        }
    }
}

/// Proof that this process is the one writer of a cache. The lock ends with it, also when the process is killed.
#[derive(Debug)]
pub struct SiteGuard {
    layout: Layout,
    _file: Flock<std::fs::File>,
}

impl SiteGuard {
    /// Takes the lock of the cache or says who has it. The cache's folder must exist.
    pub fn take(layout: &Layout) -> Result<Self, LockError> {
        let folder = layout.locks();
        crate::publish::private_folder(&folder)?;
        let file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(folder.join("site"))?
            .into_file();
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                file.set_len(0)?;
                file.rewind()?;
                file.write_all(&serde_json::to_vec(&Owner::me()).map_err(std::io::Error::other)?)?;
                Ok(Self { layout: layout.clone(), _file: file })
            }
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                Err(LockError::Busy {
                    cache: layout.root().to_owned(),
                    owner: serde_json::from_str(&text).ok(),
                })
            }
            Err((_, errno)) => Err(LockError::Io(errno.into())),
        }
    }

    /// The cache that is locked.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_writer_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let first = SiteGuard::take(&layout).unwrap();
        let error = SiteGuard::take(&layout).unwrap_err();
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        assert_eq!(error.exit(), Exit::Busy);
        drop(first);
        SiteGuard::take(&layout).unwrap();
    }
}
