//! Opens a cache or explains why it cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Layout;
use crate::report::{Exit, Explain};

/// Why a cache cannot be used.
#[derive(Debug, Error)]
pub enum SiteError {
    /// Nobody said where the cache is.
    #[error("no cache was named")]
    Unnamed,
    /// The cache does not exist.
    #[error("there is no cache at {}", path.display())]
    Missing {
        /// What was looked for.
        path: PathBuf,
    },
    /// It exists and is not a folder.
    #[error("the cache {} is not a folder", path.display())]
    NotAFolder {
        /// What was found.
        path: PathBuf,
    },
    /// It is a folder of something else, or empty.
    #[error("{} is no cache: it has no models and no site.lock", path.display())]
    Foreign {
        /// What was looked at.
        path: PathBuf,
    },
    /// It cannot be entered.
    #[error("the cache {} cannot be read: {source}", path.display())]
    Unreadable {
        /// What was tried.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl Explain for SiteError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unnamed => "cache_unnamed",
            Self::Missing { .. } => "cache_not_found",
            Self::NotAFolder { .. } => "cache_not_a_folder",
            Self::Foreign { .. } => "cache_foreign",
            Self::Unreadable { .. } => "cache_unreadable",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unnamed => "set BLACKFISH_CACHE_DIR or pass --cache-dir".into(),
            Self::Missing { .. } | Self::Foreign { .. } => "check BLACKFISH_CACHE_DIR, or let an administrator run `bf-admin setup`".into(),
            Self::NotAFolder { .. } => "pass the folder that holds `models` and `resource_specs.yaml`".into(),
            Self::Unreadable { .. } => {
                "every folder above the cache must let you through (o+x): `bf-admin permissions check` names it".into()
            }
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Unnamed => Exit::Usage,
            Self::Missing { .. } | Self::Foreign { .. } => Exit::NotFound,
            Self::NotAFolder { .. } => Exit::Invalid,
            Self::Unreadable { source, .. } => source.exit(),
        }
    }
}

/// Opens the cache at `path`: it must be a folder that can be listed.
pub fn open(path: &Path) -> Result<Layout, SiteError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SiteError::Missing { path: path.to_owned() },
        io::ErrorKind::NotADirectory => SiteError::NotAFolder { path: path.to_owned() },
        _ => SiteError::Unreadable { path: path.to_owned(), source: bare(&source) },
    };
    let root = fs_err::canonicalize(path).map_err(unreadable)?;
    fs_err::read_dir(&root).map_err(unreadable)?;
    let layout = Layout::new(&root);
    let own = [layout.models(), layout.site_lock(), layout.resource_specs(), layout.templates()];
    if !own.iter().any(|own| fs_err::symlink_metadata(own).is_ok()) {
        return Err(SiteError::Foreign { path: path.to_owned() });
    }
    Ok(layout)
}

/// Without the path that `fs_err` adds, since the sentence around it names the path already.
fn bare(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::from(error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_cache_and_a_file_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(open(&dir.path().join("no")), Err(SiteError::Missing { .. })));
        let file = dir.path().join("file");
        fs_err::write(&file, "").unwrap();
        assert!(matches!(open(&file), Err(SiteError::NotAFolder { .. })));
        assert!(matches!(open(dir.path()), Err(SiteError::Foreign { .. })));
        fs_err::create_dir(dir.path().join("models")).unwrap();
        assert!(open(dir.path()).is_ok());
    }
}
