//! The way from a cache's root to what is published: real folders, never a link that would make us write elsewhere.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::geteuid;
use thiserror::Error;

use crate::lock::LockError;
use crate::report::{Exit, Explain, shell_quoted};
use crate::site::{Layout, Part};

/// Why something cannot be published.
#[derive(Debug, Error)]
pub enum PublishError {
    /// A link, or a file where a folder should be.
    #[error("{} is {what}, where the cache must have {wanted} of its own", path.display())]
    InTheWay {
        /// What is in the way.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What should be there.
        wanted: &'static str,
    },
    /// A path that does not lead to something below the cache, as its names tell.
    #[error("{} is not written to: it does not lead to something below {}", path.display(), root.display())]
    Outside {
        /// Where something was to go.
        path: PathBuf,
        /// What it must be below.
        root: PathBuf,
    },
    /// A folder for writers alone belongs to somebody else.
    #[error("{} belongs to user {owner}, who is not the owner of the cache", path.display())]
    Stranger {
        /// The folder.
        path: PathBuf,
        /// Numeric id of its owner.
        owner: u32,
    },
    /// This process is not the one writer any more.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Anything else; the message names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Explain for PublishError {
    fn code(&self) -> &'static str {
        match self {
            Self::InTheWay { .. } => "link_in_the_way",
            Self::Outside { .. } => "path_outside",
            Self::Stranger { .. } => "not_trusted",
            Self::Lock(error) => error.code(),
            Self::Io(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InTheWay { path, wanted: "a link", .. } => Some(format!(
                "it is not replaced; find out who made it, then move {} away and run the command again",
                path.display()
            )),
            Self::InTheWay { path, .. } => Some(format!(
                "nothing is written through it; find out who made it, then `rm {}` and run `bf-admin setup`",
                shell_quoted(path)
            )),
            Self::Outside { .. } => None,
            Self::Stranger { path, .. } => Some(format!(
                "find out who made it, then `mv {0} {0}.strange` and run the command again",
                shell_quoted(path)
            )),
            Self::Lock(error) => error.hint(),
            Self::Io(error) => error.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::InTheWay { .. } | Self::Outside { .. } => Exit::Invalid,
            Self::Stranger { .. } => Exit::Permission,
            Self::Lock(error) => error.exit(),
            Self::Io(error) => error.exit(),
        }
    }
}

/// The folders below `root` on the way to `path`, and `path` itself, from above.
///
/// # Errors
/// [`PublishError::Outside`]: the path does not begin with `root`, or goes up again behind it.
pub(super) fn folders(root: &Path, path: &Path) -> Result<Vec<PathBuf>, PublishError> {
    below(root, path)?;
    let inside = path.ancestors().take_while(|folder| folder.starts_with(root) && *folder != root);
    let mut folders: Vec<PathBuf> = inside.map(Path::to_owned).collect();
    folders.reverse();
    Ok(folders)
}

/// Whether `path` leads to `root` or to something below it, as its names tell.
///
/// # Errors
/// [`PublishError::Outside`].
pub(super) fn below(root: &Path, path: &Path) -> Result<(), PublishError> {
    let rest = path.strip_prefix(root).ok();
    if rest.is_some_and(|rest| rest.components().all(|part| matches!(part, Component::Normal(_)))) {
        return Ok(());
    }
    Err(PublishError::Outside { path: path.to_owned(), root: root.to_owned() })
}

/// Whether the folder for writers alone at `path`, if it is there, is that of somebody who may write: of another one we would not
/// know what he takes out of it and puts into it.
///
/// # Errors
/// [`PublishError::Stranger`] names who is neither we, nor root, nor the owner of the cache.
fn is_of_writers(layout: &Layout, path: &Path) -> Result<(), PublishError> {
    let Some(found) = absent_is_none(fs_err::symlink_metadata(path))? else { return Ok(()) };
    let owner = found.uid();
    if owner == 0 || owner == geteuid().as_raw() || owner == fs_err::metadata(layout.root())?.uid() {
        return Ok(());
    }
    Err(PublishError::Stranger { path: path.to_owned(), owner })
}

fn absent_is_none<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there is a folder at `path`; not, when there is nothing.
pub(super) fn is_folder(path: &Path) -> Result<bool, PublishError> {
    look(path, "a folder", std::fs::Metadata::is_dir)
}

/// Whether a link can be made at `path`: there is nothing, or an older link, which it replaces.
///
/// # Errors
/// [`PublishError::InTheWay`] names what else is there.
pub fn clear_link(path: &Path) -> Result<(), PublishError> {
    let what = match fs_err::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => return Ok(()),
        Ok(metadata) if metadata.is_dir() => "a folder",
        Ok(_) => "a file",
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    Err(PublishError::InTheWay { path: path.to_owned(), what: what.to_owned(), wanted: "a link" })
}

/// Whether there is a file at `path` that is `target` itself, under a second name.
pub(super) fn is_same_file(path: &Path, target: &Path) -> bool {
    let (Ok(own), Ok(other)) = (fs_err::symlink_metadata(path), fs_err::metadata(target)) else {
        return false;
    };
    own.is_file() && (own.dev(), own.ino()) == (other.dev(), other.ino())
}

fn look(
    path: &Path,
    wanted: &'static str,
    good: fn(&std::fs::Metadata) -> bool,
) -> Result<bool, PublishError> {
    match absent_is_none(fs_err::symlink_metadata(path))? {
        Some(metadata) if good(&metadata) => Ok(true),
        Some(metadata) => {
            let what = match fs_err::read_link(path) {
                Ok(target) => format!("a link to {}", target.display()),
                Err(_) if metadata.is_dir() => "a folder".into(),
                Err(_) if wanted == "a file" => "no file".into(),
                Err(_) => "no folder".into(),
            };
            Err(PublishError::InTheWay { path: path.to_owned(), what, wanted })
        }
        None => Ok(false),
    }
}

/// Whether the way to the folder at `path`, and the folder itself, are clear, as far as they are there.
///
/// # Errors
/// [`PublishError::InTheWay`] names the first that is a link or no folder.
pub fn clear(layout: &Layout, path: &Path) -> Result<(), PublishError> {
    for folder in folders(layout.root(), path)? {
        if !is_folder(&folder)? {
            break;
        }
    }
    Ok(())
}

/// Whether the parts of the cache, the folders in them that are for writers alone, the folder of locks and the audit log are clear,
/// and belong to nobody else.
///
/// # Errors
/// As [`clear`]; [`PublishError::Stranger`] names a folder for writers alone that belongs to somebody else.
pub fn clear_parts(layout: &Layout) -> Result<(), PublishError> {
    clear_these(layout, &Part::ALL)
}

/// As [`clear_parts`], of these parts only.
pub fn clear_these(layout: &Layout, parts: &[Part]) -> Result<(), PublishError> {
    for part in parts.iter().copied() {
        for name in [Layout::STAGING, Layout::DOWNLOADS, Layout::QUARANTINE] {
            let folder = layout.part(part).join(name);
            clear(layout, &folder)?;
            is_of_writers(layout, &folder)?;
        }
    }
    for folder in [layout.locks(), layout.verify()] {
        clear(layout, &folder)?;
        is_of_writers(layout, &folder)?;
    }
    look(&layout.audit(), "a file", std::fs::Metadata::is_file).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_cache() {
        let root = Path::new("/c");
        for path in ["/c/../etc", "/c/a/../../etc", "/etc", "c/a", "/", "/ca"] {
            assert!(matches!(folders(root, Path::new(path)), Err(PublishError::Outside { .. })), "{path}");
            let cleared = clear(&Layout::new(root), Path::new(path));
            assert!(matches!(cleared, Err(PublishError::Outside { .. })), "{path}");
        }
        assert_eq!(folders(root, Path::new("/c/a/b")).unwrap(), [Path::new("/c/a"), Path::new("/c/a/b")]);
        assert!(folders(root, root).unwrap().is_empty());
    }

    #[test]
    fn a_strangers_folder_of_locks_or_staged_things_is_not_taken() {
        if !geteuid().is_root() {
            return; // nobody else gives a folder away
        }
        for name in [".locks", "images/.staging", ".downloads", "models/.quarantine", ".verify"] {
            let dir = tempfile::tempdir().unwrap();
            let layout = Layout::new(dir.path());
            let folder = dir.path().join(name);
            fs_err::create_dir_all(&folder).unwrap();
            clear_parts(&layout).unwrap();
            fs_err::os::unix::fs::chown(&folder, Some(54_321), None).unwrap();
            let failure = crate::report::Failure::from(clear_parts(&layout).unwrap_err());
            assert_eq!((failure.code, failure.exit), ("not_trusted", Exit::Permission), "{name}");
            fs_err::os::unix::fs::chown(dir.path(), Some(54_321), None).unwrap();
            clear_parts(&layout).unwrap();
        }
    }
}
