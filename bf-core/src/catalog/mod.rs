//! The catalogue: what is provisioned, as an SQLite file that users open instead of looking into a thousand folders.
//!
//! `catalog.db` is a relative link to `.catalog/<n>.db` (interface I of `docs/formats.md`). Who holds the site lock writes a new
//! file whole and switches the link; a file is never changed once it is there. So readers open it as immutable, without locks
//! and without a journal, which network filesystems are bad at. The catalogue says nothing that the cache does not say itself:
//! a reader that cannot use it looks into the folders.

mod content;
mod read;
mod write;

pub use read::{Catalog, CatalogError};
pub use write::{Written, write};

/// The version of the tables, as SQLite's `user_version`.
pub const VERSION: i64 = 2;

/// The tables. Paths are relative to the cache, sizes in bytes, `kv_cache` is the JSON of a [`KvCache`](crate::model::memory::KvCache); limits of tiers in GB of 10^9 bytes.
const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT;
CREATE TABLE images (name TEXT PRIMARY KEY NOT NULL, ref TEXT, digest TEXT, sif TEXT NOT NULL, sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL, compression TEXT NOT NULL) STRICT;
CREATE TABLE models (repo TEXT NOT NULL, revision TEXT NOT NULL, path TEXT NOT NULL, size_bytes INTEGER, format TEXT NOT NULL,
    parameters INTEGER, dtype TEXT, task TEXT, license TEXT, \"where\" TEXT NOT NULL, \"group\" TEXT,
    context_length INTEGER, kv_cache TEXT, PRIMARY KEY (repo, revision)) STRICT;
CREATE TABLE files (repo TEXT NOT NULL, revision TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (repo, revision, path)) STRICT;
CREATE TABLE tiers (partition TEXT, \"default\" INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, max_model_size_gb REAL, gpu_count INTEGER NOT NULL, gpu_type TEXT, cpu_cores INTEGER NOT NULL,
    memory_gb INTEGER NOT NULL, \"constraint\" TEXT, gres TEXT) STRICT;
CREATE TABLE engines (id TEXT PRIMARY KEY NOT NULL, version TEXT NOT NULL, package TEXT NOT NULL, python TEXT NOT NULL) STRICT;
";

#[cfg(test)]
mod tests;
