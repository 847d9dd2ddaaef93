//! Reads a catalogue.

use std::path::PathBuf;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row};
use thiserror::Error;

use super::{SCHEMA, VERSION, content};
use crate::bounded::{self, Links};
use crate::model::memory::Unknown;
use crate::model::{Location, Memory, ModelInfo};
use crate::site::{Layout, trusted};

/// So often a file that was removed under our hands is looked for again.
const TRIES: usize = 3;

/// The largest catalogue that is read, in bytes. A file of a model is some 200 of them.
const MAX_BYTES: u64 = 1_000_000_000;

/// Models that are read at most.
const MAX_MODELS: usize = 1_000_000;

/// Instructions of SQLite's machine between two looks at how many there were, and how often is looked: a row is some 15 of them.
const STEP: i32 = 100_000;
const MAX_STEPS: u32 = 1_000;

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
    /// It is no file, or something else than rows is in it.
    #[error("the catalogue is none of ours: {0}")]
    Foreign(String),
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
        let foreign = |error: std::io::Error| CatalogError::Foreign(error.to_string());
        match bounded::open(&path, Links::Refuse) {
            Ok(file) if file.metadata().map_err(foreign)?.len() > MAX_BYTES => {
                return Err(CatalogError::Foreign("it is larger than 1 GB".into()));
            }
            Ok(_) => {}
            // The link was switched: it is looked for again.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(CatalogError::Broken(gone()));
            }
            Err(error) => return Err(foreign(error)),
        }
        // `immutable`: no locks, no journal (sqlite.org, "URI filenames"). The path may hold what means something in a URI.
        let uri = format!("file:{}?immutable=1", escaped(&path));
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(uri, flags)?;
        // What is in the file is not to be run, however it came there (sqlite.org, "Defense Against The Dark Arts").
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        let mut steps = 0_u32;
        let is_enough = move || {
            steps += 1;
            steps > MAX_STEPS
        };
        connection.progress_handler(STEP, Some(is_enough))?;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != VERSION {
            return Err(CatalogError::Newer(version));
        }
        for table in ["meta", "models"] {
            is_ours(&connection, table)?;
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
        let sql = "SELECT repo, revision, path, size_bytes, format, parameters, dtype, task, license, \"group\", \
            context_length, kv_cache FROM models ORDER BY rowid";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query_map([], |row| self.model(row))?;
        let models = rows.by_ref().take(MAX_MODELS).collect::<Result<_, _>>()?;
        match rows.next() {
            None => Ok(models),
            Some(_) => Err(CatalogError::Foreign(format!("it has more than {MAX_MODELS} models"))),
        }
    }

    fn model(&self, row: &Row<'_>) -> rusqlite::Result<ModelInfo> {
        let path: String = row.get(2)?;
        let size_bytes = unsigned(row, 3)?;
        let kv_cache: Option<String> = row.get(11)?;
        let kv_cache = kv_cache.and_then(|text| serde_json::from_str(&text).ok());
        Ok(ModelInfo {
            repo: parsed(0, &row.get::<_, String>(0)?)?,
            revision: row.get(1)?,
            path: self.layout.root().join(PathBuf::from(path)),
            size_bytes,
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
            context_length: unsigned(row, 10)?,
            memory: Memory {
                weights_bytes: size_bytes,
                kv_cache: kv_cache.ok_or_else(|| Unknown("the catalogue does not say it".into())),
            },
        })
    }
}

/// Refuses a view, or anything else that is not the table as we make it, of this name.
fn is_ours(connection: &Connection, table: &str) -> Result<(), CatalogError> {
    let sql = "SELECT type, sql FROM sqlite_schema WHERE name = ?";
    let found: Option<(String, String)> =
        connection.query_row(sql, [table], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match found {
        Some((kind, text)) if kind == "table" && SCHEMA.contains(&format!("{text};")) => Ok(()),
        _ => Err(CatalogError::Foreign(format!("it has no table `{table}` as bf-admin makes it"))),
    }
}

/// As SQLite says it of a file that is not there any more.
fn gone() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN), None)
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
