//! The way from a cache's root to what is published: real folders, never a link that would make us write elsewhere.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::lock::LockError;
use crate::report::{Exit, Explain};
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
                path.display()
            )),
            Self::Lock(error) => error.hint(),
            Self::Io(error) => error.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::InTheWay { .. } => Exit::Invalid,
            Self::Lock(error) => error.exit(),
            Self::Io(error) => error.exit(),
        }
    }
}

/// The folders below `root` on the way to `path`, and `path` itself, from above.
pub(super) fn folders(root: &Path, path: &Path) -> Vec<PathBuf> {
    let inside = path.ancestors().take_while(|folder| folder.starts_with(root) && *folder != root);
    let mut folders: Vec<PathBuf> = inside.map(Path::to_owned).collect();
    folders.reverse();
    folders
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
    match fs_err::symlink_metadata(path) {
        Ok(metadata) if good(&metadata) => Ok(true),
        Ok(metadata) => {
            let what = match fs_err::read_link(path) {
                Ok(target) => format!("a link to {}", target.display()),
                Err(_) if metadata.is_dir() => "a folder".into(),
                Err(_) => "no folder".into(),
            };
            Err(PublishError::InTheWay { path: path.to_owned(), what, wanted })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the way to the folder at `path`, and the folder itself, are clear, as far as they are there.
///
/// # Errors
/// [`PublishError::InTheWay`] names the first that is a link or no folder.
pub fn clear(layout: &Layout, path: &Path) -> Result<(), PublishError> {
    for folder in folders(layout.root(), path) {
        if !is_folder(&folder)? {
            break;
        }
    }
    Ok(())
}

/// Whether the parts of the cache, their staging folders, the folder of locks and the audit log are clear.
///
/// # Errors
/// As [`clear`].
pub fn clear_parts(layout: &Layout) -> Result<(), PublishError> {
    for part in Part::ALL {
        clear(layout, &layout.staging(part))?;
    }
    clear(layout, &layout.locks())?;
    look(&layout.audit(), "a file", std::fs::Metadata::is_file).map(|_| ())
}
