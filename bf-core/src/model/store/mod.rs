//! Puts models into the layout of `huggingface_hub`, checked by their hashes: in the shared cache and in that of a user's own.
//!
//! A new model is renamed into place as a whole. Into one that is there, missing blobs come first, then the snapshot, then the refs:
//! whoever reads meanwhile sees the old revision or the new one, all of it. What is taken away goes the other way round.
//!
//! | file | owns |
//! | --- | --- |
//! | `make` | blobs and a snapshot in a staging folder: copied, linked, or as they were fetched |
//! | `put` | publishing them, and the refs that lead to them |
//! | `links` | the links of a snapshot to its blobs |
//! | `enter` | what site.lock says of it, and which revision users get |
//! | `remove` | taking revisions and blobs away |
//! | `unused` | what no revision of site.lock needs |
//! | `verify` | every file of a revision, by its name and by site.lock |

mod enter;
mod links;
mod make;
mod put;
mod remove;
#[cfg(test)]
mod tests;
mod unused;
mod verify;

pub use enter::{Asked, enter, refs, retire};
pub use links::{blob_link, link_fault};
pub use make::{New, NewFile, Take, hashed, linkable, make};
pub use put::{leads_to, put};
pub use remove::{remove_model, remove_revision};
pub use unused::{UnusedBlob, UnusedSnapshot, unused_blobs, unused_snapshots};
pub use verify::{BlobFault, FileFault, blob_fault, faults, wrong_link};

use std::path::{Path, PathBuf};

use super::ModelId;
use crate::publish::{self, PublishError};
use crate::site::Layout;

/// The folders of a model.
const PARTS: [&str; 3] = ["blobs", "snapshots", "refs"];

/// The name of the revision that users get who ask for none.
pub const MAIN: &str = "main";

/// The folder of a model in a cache.
pub fn folder(layout: &Layout, id: &ModelId) -> PathBuf {
    layout.models().join(id.folder_name())
}

/// Refuses a model's folder in which a link would make us read or write elsewhere.
///
/// # Errors
/// [`PublishError::InTheWay`] names it.
pub fn clear(layout: &Layout, folder: &Path) -> Result<(), PublishError> {
    PARTS.iter().try_for_each(|part| publish::clear(layout, &folder.join(part)))
}

/// Whether `name` can be that of a blob that is called by its content: 64 hex digits of SHA-256, or 40 of git's.
pub fn is_blob_name(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
