//! Reads a catalogue.

use std::path::PathBuf;

use rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use thiserror::Error;

use super::{VERSION, content};
use crate::model::{Location, ModelInfo};
use crate::site::{Layout, trusted};

/// So often a file that was removed under our hands is looked for again.
const TRIES: usize = 3;

/// Why a catalogue cannot be used. The folders of the cache say the same, more slowly.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// There is none.
    #[error("the cache has no catalogue")]
    Missing,
    /// The cache was changed by somebody who did not write a new one.
    #[error("the catalogue is older than the models of the cache")]
    Stale,
    /// A newer program wrote it.
    #[error("the catalogue has version {0}")]
    Newer(i64),
    /// Others could have changed it.
    #[error(transparent)]
    Untrusted(#[from] crate::site::TrustError),
    /// It is damaged, or not of this version.
    #[error("the catalogue cannot be read: {0}")]
    Broken(#[from] rusqlite::Error),
}

/// An open catalogue.
#[derive(Debug)]
pub struct Catalog {
    layout: Layout,
    connection: Connection,
}

impl Catalog {
    /// Opens the catalogue of a cache, if there is one that tells of the cache as it is.
    pub fn open(layout: &Layout) -> Result<Self, CatalogError> {
        let mut last = CatalogError::Missing;
        for _ in 0..TRIES {
            match Self::try_open(layout) {
                // The link was switched and the old file removed while we looked: the new one is there.
                Err(CatalogError::Broken(error)) if is_gone(&error) => last = CatalogError::Broken(error),
                result => return result,
            }
        }
        Err(last)
    }

    fn try_open(layout: &Layout) -> Result<Self, CatalogError> {
        if fs_err::symlink_metadata(layout.catalog()).is_err() {
            return Err(CatalogError::Missing);
        }
        let path = trusted(layout.root(), &layout.catalog())?;
        // `immutable`: no locks, no journal (sqlite.org, "URI filenames"). The path may hold what means something in a URI.
        let uri = format!("file:{}?immutable=1", escaped(&path));
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(uri, flags)?;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != VERSION {
            return Err(CatalogError::Newer(version));
        }
        let mark: String =
            connection.query_row("SELECT value FROM meta WHERE key = 'models_mark'", [], |row| row.get(0))?;
        if mark != content::mark(layout) {
            return Err(CatalogError::Stale);
        }
        Ok(Self { layout: layout.clone(), connection })
    }

    /// All models, as [`crate::model::list`] gives them, without what is not shown.
    pub fn models(&self) -> Result<Vec<ModelInfo>, CatalogError> {
        let sql = "SELECT repo, revision, path, size_bytes, format, parameters, dtype, task, license, \"group\" \
            FROM models ORDER BY rowid";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| self.model(row))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn model(&self, row: &Row<'_>) -> rusqlite::Result<ModelInfo> {
        let path: String = row.get(2)?;
        Ok(ModelInfo {
            repo: parsed(0, &row.get::<_, String>(0)?)?,
            revision: row.get(1)?,
            path: self.layout.root().join(PathBuf::from(path)),
            size_bytes: unsigned(row, 3)?,
            format: parsed(4, &row.get::<_, String>(4)?)?,
            parameters: unsigned(row, 5)?,
            dtype: row.get(6)?,
            task: row.get(7)?,
            license: row.get(8)?,
            location: Location::Cache,
            group: row.get(9)?,
            weights: Vec::new(),
            alternatives: Vec::new(),
            architecture: None,
            context_length: None,
        })
    }
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    Ok(number.and_then(|number| u64::try_from(number).ok()))
}

fn parsed<T: std::str::FromStr>(column: usize, text: &str) -> rusqlite::Result<T> {
    let invalid =
        |_| rusqlite::Error::InvalidColumnType(column, text.to_owned(), rusqlite::types::Type::Text);
    text.parse().map_err(invalid)
}

/// Whether the file is no longer there: on a network filesystem also in the middle of reading it.
fn is_gone(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure))
}

/// The path in a URI: everything but the plainest characters escaped.
fn escaped(path: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let bytes = path.as_os_str().as_bytes().iter();
    bytes
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
