//! Brings what was outlined.

use std::path::Path;
use std::sync::Arc;

use super::{Outline, Teller, Told};
use crate::hub::{Hub, RemoteFile};
use crate::model::store::NewFile;
use crate::report::Failure;

/// Fetches what the store does not have into `downloads`, a private folder that stays when this fails, and gives all files for
/// [`Take::Fetched`](crate::model::store::Take::Fetched). What the store has in `blobs` is read, and fetched again where it is not
/// what its name says.
///
/// # Errors
/// Those of the Hub, and of reading and writing files. What came until then is used by the next try.
pub fn fetch(
    hub: &Hub,
    outline: &Outline,
    downloads: &Path,
    blobs: &Path,
    tell: &Teller,
) -> Result<Vec<NewFile>, Failure> {
    let mut files = Vec::with_capacity(outline.files.len());
    let mut missing: Vec<RemoteFile> = Vec::new();
    for file in &outline.files {
        if file.seems_in(blobs) {
            tell(Told::Reading { path: file.path.clone() });
        }
        match file.sha256_in(blobs)? {
            Some(sha256) => files.push(new(file, blobs, sha256)),
            None => missing.push(file.clone()),
        }
    }
    tell(Told::Missing { bytes: distinct(&missing) });
    let teller = Arc::clone(tell);
    let hub = hub.telling(Arc::new(move |event| teller(Told::Hub(event))));
    let fetched = hub.fetch(&outline.listing, &missing, downloads, &|_| false)?;
    for file in &missing {
        // It gives all that it was asked for, or fails.
        let Some(own) = fetched.iter().find(|own| own.path == file.path) else { continue };
        files.push(new(file, downloads, own.sha256.clone()));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn new(file: &RemoteFile, folder: &Path, sha256: String) -> NewFile {
    NewFile {
        path: file.path.clone(),
        from: folder.join(file.hash.hex()),
        bytes: file.bytes,
        blob: Some(file.hash.hex().to_owned()),
        sha256: Some(sha256),
    }
}

/// Bytes of files, each content once.
fn distinct(files: &[RemoteFile]) -> u64 {
    let contents: std::collections::BTreeMap<_, _> =
        files.iter().map(|file| (&file.hash, file.bytes)).collect();
    contents.values().sum()
}
