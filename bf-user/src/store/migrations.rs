//! The versions of the store's tables, oldest first. A migration that was released is never edited.

use rusqlite::Connection;
use rusqlite_migration::{M, MigrationDefinitionError, Migrations};

/// Why the store could not be brought up to date.
#[derive(Debug)]
pub(super) enum Error {
    /// A newer program wrote it.
    Newer,
    /// SQLite failed.
    Sqlite(rusqlite::Error),
}

/// Brings the tables up to date.
pub(super) fn apply(connection: &mut Connection) -> Result<(), Error> {
    let services = M::up(
        "CREATE TABLE service (
            id TEXT PRIMARY KEY NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            name TEXT NOT NULL,
            kind TEXT NOT NULL,
            engine TEXT NOT NULL,
            model TEXT NOT NULL,
            revision TEXT NOT NULL,
            profile TEXT NOT NULL,
            scheduler TEXT NOT NULL,
            host TEXT NOT NULL,
            user TEXT NOT NULL,
            home_dir TEXT NOT NULL,
            cache_dir TEXT NOT NULL,
            job_id TEXT,
            status TEXT NOT NULL,
            tier TEXT,
            partition TEXT,
            cpus INTEGER NOT NULL,
            gpus INTEGER NOT NULL,
            memory_gb INTEGER NOT NULL,
            time_limit INTEGER,
            idle_timeout INTEGER,
            grace_period INTEGER NOT NULL
        ) STRICT;",
    );
    // `constraint` itself is a word of SQL.
    let slurm = M::up(
        "ALTER TABLE service ADD COLUMN constraint_expr TEXT;
        ALTER TABLE service ADD COLUMN account TEXT;
        ALTER TABLE service ADD COLUMN image_ref TEXT;",
    );
    Migrations::new(vec![services, slurm]).to_latest(connection).map_err(|error| match error {
        rusqlite_migration::Error::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead) => {
            Error::Newer
        }
        rusqlite_migration::Error::RusqliteError { err, .. } => Error::Sqlite(err),
        other => Error::Sqlite(rusqlite::Error::ToSqlConversionFailure(Box::new(other))),
    })
}
