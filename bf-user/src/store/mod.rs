//! The user's SQLite store: which services there are. What a service *is doing* is not in here: that is derived
//! from its job directory, so that a lost store loses no service.
//!
//! A rollback journal, no WAL: homes are on network filesystems, where WAL's shared memory does not work.

mod migrations;
mod record;

pub(crate) use record::Record;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bf_core::report::{Exit, Explain};
use fs_err::os::unix::fs::OpenOptionsExt;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use thiserror::Error;

use crate::job::{JobDir, Scheduler};

/// Another process of the same user may hold the store for so long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the store cannot be used.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// No service has an id that begins so.
    #[error("there is no service {id:?}")]
    Unknown { id: String },
    /// More than one has.
    #[error("{id:?} can mean {} services", matches.len())]
    Ambiguous { id: String, matches: Vec<String> },
    /// It was written by a newer bf-user.
    #[error("the store {} was written by a newer bf-user", path.display())]
    Newer { path: PathBuf },
    /// It is not a database, or is damaged.
    #[error("the store {} cannot be used: {source}", path.display())]
    Broken { path: PathBuf, source: rusqlite::Error },
    /// Its folder cannot be made.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Explain for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "service_not_found",
            Self::Ambiguous { .. } => "service_ambiguous",
            Self::Newer { .. } => "store_newer",
            Self::Broken { .. } => "store_broken",
            Self::Io(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { .. } => "`bf-user ls --all` lists them".into(),
            Self::Ambiguous { matches, .. } => format!("write one of the ids: {}", matches.join(", ")),
            Self::Newer { .. } => "use the newer bf-user, or another BLACKFISH_HOME_DIR".into(),
            Self::Broken { .. } if self.exit() == Exit::Invalid => {
                "move it aside: a new one is made from the job directories in `jobs` beside it".into()
            }
            Self::Broken { .. } => match self.exit() {
                Exit::Busy => "another bf-user is at work: try again".into(),
                Exit::CannotCreate => {
                    "free space there; `bf-user rm --inactive` removes ended services".into()
                }
                _ => return None,
            },
            Self::Io(error) => return error.hint(),
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Unknown { .. } => Exit::NotFound,
            Self::Ambiguous { .. } => Exit::Usage,
            Self::Newer { .. } => Exit::Invalid,
            Self::Broken { source, .. } => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => Exit::Busy,
                Some(rusqlite::ErrorCode::DiskFull) => Exit::CannotCreate,
                Some(
                    rusqlite::ErrorCode::PermissionDenied
                    | rusqlite::ErrorCode::ReadOnly
                    | rusqlite::ErrorCode::CannotOpen,
                ) => Exit::Permission,
                _ => Exit::Invalid,
            },
            Self::Io(error) => error.exit(),
        }
    }
}

/// An open store.
pub(crate) struct Store {
    path: PathBuf,
    connection: Connection,
}

impl Store {
    /// Opens the store in `home_dir`, making both if they are missing, and brings it up to date.
    pub(crate) fn open(home_dir: &Path) -> Result<Self, StoreError> {
        let path = home_dir.join("services.db");
        let is_new = fs_err::metadata(&path).map_or(true, |meta| meta.len() == 0);
        if !path.exists() {
            make_home(home_dir)?;
            // Made here, so that it is private from its first byte.
            fs_err::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        }
        let broken = |source| StoreError::Broken { path: path.clone(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(broken)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(broken)?;
        connection.pragma_update(None, "journal_mode", "DELETE").map_err(broken)?;
        migrations::apply(&mut connection).map_err(|error| match error {
            migrations::Error::Newer => StoreError::Newer { path: path.clone() },
            migrations::Error::Sqlite(source) => broken(source),
        })?;
        let store = Self { path, connection };
        if is_new {
            store.adopt(home_dir)?;
        }
        Ok(store)
    }

    /// A store that is new, or was lost, gets the services whose job directories are there.
    fn adopt(&self, home_dir: &Path) -> Result<(), StoreError> {
        let jobs = match fs_err::read_dir(home_dir.join("jobs")) {
            Ok(jobs) => jobs,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for entry in jobs {
            let dir = JobDir::at(entry?.path());
            // What has no readable job.json cannot be shown as a service.
            let Ok(job) = dir.job() else { continue };
            if dir.path().file_name().is_some_and(|name| name == job.service.as_str()) {
                let job_id = match job.scheduler {
                    Scheduler::Local => dir.local().ok().flatten().map(|local| local.pid.to_string()),
                    Scheduler::Slurm => dir.slurm().ok().flatten().map(|slurm| slurm.job.to_string()),
                };
                self.insert(&Record { job_id, ..Record::of_job(&job, home_dir) })?;
            }
        }
        Ok(())
    }

    /// Adds a service.
    pub(crate) fn insert(&self, record: &Record) -> Result<(), StoreError> {
        record.insert(&self.connection).map_err(|source| self.broken(source))
    }

    /// Adds a service if as many others as before have its name: none was added since somebody looked. Tells whether it was added.
    pub(crate) fn insert_if_named(&self, record: &Record, before: usize) -> Result<bool, StoreError> {
        let added = || -> rusqlite::Result<bool> {
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            let sql = "SELECT count(*) FROM service WHERE name = ?1";
            let now: i64 = transaction.query_row(sql, [&record.name], |row| row.get(0))?;
            if i64::try_from(before) != Ok(now) {
                return Ok(false);
            }
            record.insert(&transaction)?;
            transaction.commit()?;
            Ok(true)
        };
        added().map_err(|source| self.broken(source))
    }

    /// All services, oldest first.
    pub(crate) fn all(&self) -> Result<Vec<Record>, StoreError> {
        Record::all(&self.connection).map_err(|source| self.broken(source))
    }

    /// The service that `wanted` means: a whole id, else a name (of several that had it, the newest), else the beginning of
    /// one id. Dashes in an id do not matter.
    pub(crate) fn find(&self, wanted: &str) -> Result<Record, StoreError> {
        let all = self.all()?; // oldest first
        let id = wanted.replace('-', "").to_lowercase();
        let exact = all.iter().find(|record| record.id == id);
        let named = || all.iter().rev().find(|record| record.name == wanted);
        if let Some(record) = exact.or_else(named) {
            return Ok(record.clone());
        }
        let is_prefix = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let matches: Vec<&Record> =
            all.iter().filter(|record| is_prefix && record.id.starts_with(&id)).collect();
        match matches.as_slice() {
            [] => Err(StoreError::Unknown { id: wanted.to_owned() }),
            [record] => Ok((*record).clone()),
            several => Err(StoreError::Ambiguous {
                id: wanted.to_owned(),
                matches: several.iter().map(|record| record.id.clone()).collect(),
            }),
        }
    }

    /// Remembers the state that a service was last seen in. It is derived anew each time, so nothing is lost where it
    /// cannot be remembered, as on a full disk.
    pub(crate) fn set_status(&self, id: &str, status: &str) {
        let _ = self.connection.execute(
            "UPDATE service SET status = ?2, updated_at = ?3 WHERE id = ?1 AND status <> ?2",
            params![id, status, bf_core::host::now()],
        );
    }

    /// Remembers the scheduler's id of a service's job.
    pub(crate) fn set_job_id(&self, id: &str, job_id: &str) -> Result<(), StoreError> {
        self.connection
            .execute("UPDATE service SET job_id = ?2 WHERE id = ?1", [id, job_id])
            .map_err(|source| self.broken(source))?;
        Ok(())
    }

    /// Forgets a service.
    pub(crate) fn delete(&self, id: &str) -> Result<(), StoreError> {
        self.connection
            .execute("DELETE FROM service WHERE id = ?1", [id])
            .map_err(|source| self.broken(source))?;
        Ok(())
    }

    fn broken(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Broken { path: self.path.clone(), source }
    }
}

/// Makes the user's folder for its owner only, if it is missing. One that exists is the user's to open or close.
pub(crate) fn make_home(home_dir: &Path) -> io::Result<()> {
    if home_dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = home_dir.parent() {
        fs_err::create_dir_all(parent)?;
    }
    bf_core::publish::private_folder(home_dir)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn ids_may_be_abbreviated_as_long_as_they_are_unique() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let one = Record::example("aa110000000000000000000000000000");
        let two = Record::example("aa220000000000000000000000000000");
        store.insert(&one).unwrap();
        store.insert(&two).unwrap();
        assert_eq!(store.find("aa1").unwrap(), one);
        assert_eq!(store.find("AA22-0000").unwrap().id, two.id);
        assert!(matches!(store.find("aa"), Err(StoreError::Ambiguous { .. })));
        assert!(matches!(store.find("ff"), Err(StoreError::Unknown { .. })));
        assert!(matches!(store.find("%"), Err(StoreError::Unknown { .. })));
        assert!(matches!(store.find(""), Err(StoreError::Unknown { .. })));
        let named = Record { name: "aa1".into(), ..Record::example("bb330000000000000000000000000000") };
        store.insert(&named).unwrap();
        assert_eq!(store.find("aa1").unwrap(), named, "a name comes before the beginning of an id");
        let again = Record { name: "aa1".into(), ..Record::example("bb440000000000000000000000000000") };
        assert!(!store.insert_if_named(&again, 0).unwrap(), "somebody was quicker");
        assert!(store.insert_if_named(&again, 1).unwrap());
        store.delete(&again.id).unwrap();
        store.delete(&named.id).unwrap();
        store.delete(&one.id).unwrap();
        assert_eq!(store.find("example").unwrap().id, two.id, "the newest of that name");
        assert_eq!(store.all().unwrap().len(), 1);
    }

    #[test]
    fn it_is_private_and_not_in_wal_mode() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("new")).unwrap();
        assert_eq!(fs_err::metadata(&store.path).unwrap().permissions().mode() & 0o777, 0o600);
        let mode: String =
            store.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "delete");
    }

    #[test]
    fn a_newer_store_and_a_broken_one_are_refused() {
        let home = tempfile::tempdir().unwrap();
        drop(Store::open(home.path()).unwrap());
        let connection = Connection::open(home.path().join("services.db")).unwrap();
        connection.pragma_update(None, "user_version", 1000).unwrap();
        assert!(matches!(Store::open(home.path()), Err(StoreError::Newer { .. })));
        drop(connection);
        fs_err::write(home.path().join("services.db"), "this is no database, whatever its name says")
            .unwrap();
        let error = Store::open(home.path()).err().unwrap();
        assert_eq!(error.exit(), Exit::Invalid, "{error}");
    }
}
