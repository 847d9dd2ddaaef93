//! Makes a new catalogue and switches the link to it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::content::Content;
use super::{SCHEMA, VERSION};
use crate::digest;
use crate::publish::{Content as Kind, Publisher};
use crate::report::{Exit, Failure};
use crate::site::{Layout, Locked, Part};

/// Older catalogues that stay: a reader may have just read the link, and on a network filesystem an unlinked file is gone at once.
const KEPT: usize = 2;

/// Whether there was anything new to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// There is a new catalogue.
    New,
    /// The one that is there says the same.
    Same,
}

/// Brings the catalogue up to what the cache and its lock say now.
pub fn write(publisher: &Publisher<'_>, locked: &Locked) -> Result<Written, Failure> {
    let layout = publisher.layout();
    let content = Content::of(layout, locked)?;
    let stage = publisher.stage(Part::Top)?;
    let staged = stage.path().join("catalog.db");
    make(&staged, layout, &content).map_err(|error| failed(&error))?;
    // SQLite writes the same bytes for the same rows, made in the same order.
    let (sha256, _) = digest::of_file(&staged)?;
    let current = fs_err::read_link(layout.catalog()).ok().map(|target| layout.root().join(target));
    let is_same = |current: &PathBuf| digest::of_file(current).is_ok_and(|(other, _)| other == sha256);
    if current.as_ref().is_some_and(is_same) {
        return Ok(Written::Same);
    }
    let numbers = numbers(layout)?;
    let number = numbers.last().map_or(1, |last| last + 1);
    let to = layout.catalogs().join(format!("{number}.db"));
    publisher.publish(&staged, &to, Kind::Data)?;
    // Something else than our link: nothing of it is read, and nothing lost.
    if fs_err::symlink_metadata(layout.catalog()).is_ok_and(|found| !found.is_symlink()) {
        publisher.quarantine(Part::Top, &layout.catalog())?;
    }
    publisher.link(Part::Top, &layout.catalog(), layout.relative(&to))?;
    let surplus = (numbers.len() + 1).saturating_sub(KEPT + 1);
    for old in &numbers[..surplus.min(numbers.len())] {
        publisher.remove(Part::Top, &layout.catalogs().join(format!("{old}.db")))?;
    }
    Ok(Written::New)
}

/// The numbers of the catalogues that are there, in order.
fn numbers(layout: &Layout) -> Result<Vec<u64>, Failure> {
    let mut numbers = Vec::new();
    match fs_err::read_dir(layout.catalogs()) {
        Ok(entries) => {
            for entry in entries {
                let name = entry?.file_name();
                numbers.extend(name.to_str().and_then(|name| Layout::number(name.strip_suffix(".db")?)));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn failed(error: &rusqlite::Error) -> Failure {
    let exit = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Exit::CannotCreate,
        _ => Exit::Failed,
    };
    Failure::new(exit, "catalog_not_written", format!("the catalogue cannot be written: {error}"))
}

fn make(path: &Path, layout: &Layout, content: &Content) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "OFF")?; // it is staged: nobody reads it yet
    connection.pragma_update(None, "synchronous", "OFF")?; // it is flushed when it is published
    connection.pragma_update(None, "user_version", VERSION)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    rows(&transaction, layout, content)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

/// A number for SQLite, which has no unsigned ones. None of ours comes near.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn rows(to: &Connection, layout: &Layout, content: &Content) -> rusqlite::Result<()> {
    let time = &content.specs.time;
    let meta = [
        ("models_mark", content.models_mark.clone()),
        ("time_default_minutes", time.default_minutes.to_string()),
        ("time_max_minutes", time.max_minutes.to_string()),
    ];
    for (key, value) in meta {
        to.execute("INSERT INTO meta VALUES (?, ?)", params![key, value])?;
    }
    let mut image = to.prepare("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?)")?;
    for (name, own) in &content.locked.images {
        let reference = own.reference.as_ref().map(ToString::to_string);
        let digest = own.digest.as_ref().map(ToString::to_string);
        image.execute(params![
            name,
            reference,
            digest,
            own.sif,
            own.sha256,
            signed(own.bytes),
            own.compression
        ])?;
    }
    let mut model =
        to.prepare("INSERT OR IGNORE INTO models VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for own in &content.models {
        let kv_cache = own.memory.kv_cache.as_ref().ok().map(|cache| serde_json::json!(cache).to_string());
        model.execute(params![
            own.repo.to_string(),
            own.revision,
            layout.relative(&own.path).to_string_lossy(),
            own.size_bytes.map(signed),
            own.format.name(),
            own.parameters.map(signed),
            own.dtype,
            own.task,
            own.license,
            own.location.name(),
            own.group,
            own.context_length.map(signed),
            kv_cache,
        ])?;
    }
    let mut file = to.prepare("INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?)")?;
    for (repo, own) in &content.locked.models {
        for own in own.all() {
            for one in own.files {
                file.execute(params![repo, own.commit, one.path, one.sha256, signed(one.bytes)])?;
            }
        }
    }
    let mut tier = to.prepare("INSERT INTO tiers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for partition in &content.specs.partitions {
        for (position, own) in partition.tiers.iter().enumerate() {
            tier.execute(params![
                partition.name,
                partition.default,
                signed(position as u64),
                own.name,
                own.description,
                own.max_model_size_gb,
                own.gpu_count,
                own.gpu_type,
                own.cpu_cores,
                own.memory_gb,
                own.slurm.constraint,
                own.gres(),
            ])?;
        }
    }
    let mut engine = to.prepare("INSERT INTO engines VALUES (?, ?, ?, ?)")?;
    for (id, own) in &content.locked.engines {
        engine.execute(params![id, own.version, own.package, own.python])?;
    }
    Ok(())
}
