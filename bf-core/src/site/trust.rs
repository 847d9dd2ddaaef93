//! Whether a path taken from a cache may be run or believed: nobody but its owner, root and oneself could have changed it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use thiserror::Error;

use crate::report::{Exit, Explain, shell_quoted};

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
                Some(format!("ask its owner for: chmod o-w {}", shell_quoted(component)))
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

const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o002;

/// Refuses `path` when a component of its real path, up to the root, can be written by everybody (a sticky folder
/// such as `/tmp` above it is fine) or belongs to neither root, nor the owner of `cache`, nor oneself. That its group may
/// write is accepted: sites administer a cache by group.
///
/// Returns the real path, which is what the caller should then use.
pub fn trusted(cache: &Path, path: &Path) -> Result<PathBuf, TrustError> {
    trusted_of(fs_err::metadata(cache)?.uid(), path)
}

/// As [`trusted`], for what is in no cache: it may belong to root, to `owner` (a numeric id of a user) or to oneself.
pub fn trusted_of(owner: u32, path: &Path) -> Result<PathBuf, TrustError> {
    let real = fs_err::canonicalize(path)?;
    for component in real.ancestors() {
        check(owner, path, component, component != real)?;
    }
    Ok(real)
}

/// Like [`trusted`], and for all that is below `path` too, since a program is only as good as the libraries it loads.
/// A link's target must lie below `path` or be [`trusted`] itself.
pub fn trusted_tree(cache: &Path, path: &Path) -> Result<PathBuf, TrustError> {
    let cache_owner = fs_err::metadata(cache)?.uid();
    let root = trusted(cache, path)?;
    let mut folders = if root.is_dir() { vec![root.clone()] } else { Vec::new() };
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let entry = entry?;
            let inner = entry.path();
            let kind = entry.file_type()?;
            check(cache_owner, path, &inner, false)?;
            if kind.is_dir() {
                folders.push(inner);
            } else if kind.is_symlink() && !fs_err::canonicalize(&inner)?.starts_with(&root) {
                trusted(cache, &inner)?;
            }
        }
    }
    Ok(root)
}

/// Looks at one file, folder or link. `above`: it is a folder above what is asked for, in which a sticky bit keeps
/// others from replacing what is not theirs.
fn check(cache_owner: u32, path: &Path, component: &Path, above: bool) -> Result<(), TrustError> {
    let meta = fs_err::symlink_metadata(component)?;
    let (path, component) = (path.to_owned(), component.to_owned());
    let mode = meta.mode() & 0o7777;
    let shared_folder = above && meta.is_dir() && mode & STICKY != 0;
    // The mode of a link says nothing: it is 0777 everywhere.
    if mode & OTHERS_WRITE != 0 && !shared_folder && !meta.is_symlink() {
        return Err(TrustError::Writable { path, component, mode });
    }
    let owner = meta.uid();
    if owner != 0 && owner != cache_owner && owner != geteuid().as_raw() {
        return Err(TrustError::Stranger { path, component, owner });
    }
    Ok(())
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
    #[test]
    fn a_tree_is_trusted_only_with_all_that_is_below_it() {
        let cache = tempfile::tempdir().unwrap();
        let engine = cache.path().join("engine");
        fs_err::create_dir_all(engine.join("lib/deep")).unwrap();
        let library = engine.join("lib/deep/library.so");
        fs_err::write(&library, "").unwrap();
        std::os::unix::fs::symlink("deep/library.so", engine.join("lib/inside")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", engine.join("python")).unwrap();
        assert_eq!(trusted_tree(cache.path(), &engine).unwrap(), fs_err::canonicalize(&engine).unwrap());
        let refused = |end: &str| {
            let error = trusted_tree(cache.path(), &engine).unwrap_err();
            assert!(
                matches!(&error, TrustError::Writable { component, .. } if component.ends_with(end)),
                "{error}"
            );
        };

        let set = |path: &Path, mode| {
            fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&library, 0o666);
        refused("library.so");
        set(&library, 0o664);
        assert!(
            trusted_tree(cache.path(), &engine).is_ok(),
            "the group's right to write is the site's choice"
        );
        set(&engine.join("lib/deep"), 0o1777);
        refused("deep");
        set(&engine.join("lib/deep"), 0o755);

        let outside = cache.path().join("outside");
        fs_err::write(&outside, "").unwrap();
        set(&outside, 0o666);
        std::os::unix::fs::symlink("../../outside", engine.join("lib/leads-out")).unwrap();
        refused("outside");
    }
}
