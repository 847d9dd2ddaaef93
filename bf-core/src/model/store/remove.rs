//! Takes revisions away: first the refs, then the snapshot, then the blobs that no other snapshot needs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use super::put::leads_to;
use super::unused::{entries, used};
use super::{clear, folder};
use crate::model::ModelId;
use crate::publish::{PublishError, Publisher};
use crate::report::Failure;
use crate::site::Part;

/// Removes a model with all that it has, at once. One that is not there is removed already.
pub fn remove_model(publisher: &Publisher<'_>, id: &ModelId) -> Result<(), PublishError> {
    let folder = folder(publisher.layout(), id);
    if fs_err::symlink_metadata(&folder).is_ok() {
        publisher.remove(Part::Models, &folder)?;
    }
    record(publisher, &publisher.layout().model_records().join(id.folder_name()))
}

/// Removes what the Hub said of a model, or of one commit.
fn record(publisher: &Publisher<'_>, path: &Path) -> Result<(), PublishError> {
    if fs_err::symlink_metadata(path).is_ok() {
        publisher.remove(Part::Models, path)?;
    }
    Ok(())
}

/// Removes the revision of this commit from a model, with the refs that lead to it and the blobs that nothing else needs. `needed`: blobs that
/// stay whatever the snapshots say.
pub fn remove_revision(
    publisher: &Publisher<'_>,
    id: &ModelId,
    commit: &str,
    needed: &BTreeSet<String>,
) -> Result<(), Failure> {
    let folder = folder(publisher.layout(), id);
    clear(publisher.layout(), &folder)?;
    for entry in walkdir::WalkDir::new(folder.join("refs")).into_iter().flatten() {
        if entry.file_type().is_file() && leads_to(entry.path(), commit) {
            publisher.remove(Part::Models, entry.path())?;
        }
    }
    let snapshot = folder.join("snapshots").join(commit);
    let own = used(&snapshot);
    if fs_err::symlink_metadata(&snapshot).is_ok() {
        publisher.remove(Part::Models, &snapshot)?;
    }
    let others = others(&folder);
    let is_needed =
        |blob: &OsString| others.contains(blob) || blob.to_str().is_some_and(|blob| needed.contains(blob));
    for blob in own.iter().filter(|blob| !is_needed(blob)) {
        let blob = folder.join("blobs").join(blob);
        if fs_err::symlink_metadata(&blob).is_ok() {
            publisher.remove(Part::Models, &blob)?;
        }
    }
    Ok(record(publisher, &publisher.layout().model_record(id, commit))?)
}

/// The blobs that the snapshots of a model use.
fn others(folder: &Path) -> BTreeSet<OsString> {
    entries(&folder.join("snapshots")).iter().flat_map(|snapshot| used(snapshot)).collect()
}
