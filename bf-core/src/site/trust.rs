//! Whether a path taken from a cache may be run or believed: nobody but its owner, root and oneself could have changed it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use thiserror::Error;

use crate::report::{Exit, Explain};

/// Why a path is not trusted.
#[derive(Debug, Error)]
pub enum TrustError {
    /// A component can be written by everybody.
    #[error("{} is not trusted: {} can be written by everybody (mode {mode:04o})", path.display(), component.display())]
    Writable {
        /// What was to be used.
        path: PathBuf,
        /// The component of it that others can change.
        component: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A component belongs to a stranger.
    #[error("{} is not trusted: {} belongs to user {owner}", path.display(), component.display())]
    Stranger {
        /// What was to be used.
        path: PathBuf,
        /// The component of it that belongs to somebody else.
        component: PathBuf,
        /// Numeric id of its owner.
        owner: u32,
    },
    /// It cannot be looked at.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Explain for TrustError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io(error) => error.code(),
            _ => "not_trusted",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Writable { component, .. } => {
                Some(format!("ask its owner for: chmod o-w {}", component.display()))
            }
            Self::Stranger { .. } => {
                Some("use a cache that belongs to root, its administrator or yourself".into())
            }
            Self::Io(error) => error.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Io(error) => error.exit(),
            _ => Exit::Permission,
        }
    }
}

/// Refuses `path` when a component of its real path, up to the root, can be written by everybody (a sticky folder
/// such as `/tmp` above it is fine) or belongs to neither root, nor the owner of `cache`, nor oneself.
///
/// Returns the real path, which is what the caller should then use.
pub fn trusted(cache: &Path, path: &Path) -> Result<PathBuf, TrustError> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o002;
    let cache_owner = fs_err::metadata(cache)?.uid();
    let real = fs_err::canonicalize(path)?;
    for component in real.ancestors() {
        let meta = fs_err::symlink_metadata(component)?;
        let mode = meta.mode() & 0o7777;
        let shared_folder = meta.is_dir() && mode & STICKY != 0 && component != real;
        if mode & OTHERS_WRITE != 0 && !shared_folder {
            return Err(TrustError::Writable {
                path: path.to_owned(),
                component: component.to_owned(),
                mode,
            });
        }
        let owner = meta.uid();
        if owner != 0 && owner != cache_owner && owner != geteuid().as_raw() {
            return Err(TrustError::Stranger {
                path: path.to_owned(),
                component: component.to_owned(),
                owner,
            });
        }
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_that_everybody_may_write_is_refused_wherever_it_is_in_the_path() {
        let cache = tempfile::tempdir().unwrap();
        let inner = cache.path().join("a/b");
        fs_err::create_dir_all(&inner).unwrap();
        fs_err::write(inner.join("program"), "").unwrap();
        assert!(trusted(cache.path(), &inner.join("program")).is_ok());

        let middle = cache.path().join("a");
        fs_err::set_permissions(&middle, std::fs::Permissions::from_mode(0o777)).unwrap();
        let error = trusted(cache.path(), &inner.join("program")).unwrap_err();
        assert!(
            matches!(&error, TrustError::Writable { component, .. } if component.ends_with("a")),
            "{error}"
        );
        assert_eq!(error.exit(), Exit::Permission);
    }
}
