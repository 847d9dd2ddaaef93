//! Publishes a revision that was made in a staging folder, and the refs that lead to it.

use std::path::Path;

use super::{blob_link, clear, folder, link_fault};
use crate::bounded::{self, Links};
use crate::model::ModelId;
use crate::publish::{Content, Publisher};
use crate::report::Failure;
use crate::site::{LockedRevision, Part};

/// The longest file that names a revision, in bytes.
const NAME: u64 = 4096;

/// Publishes what [`super::make`] has made in `stage`, and lets `refs` (`main`, branches, tags) lead to it, last of all.
pub fn put(
    publisher: &Publisher<'_>,
    id: &ModelId,
    stage: &Path,
    own: &LockedRevision,
    refs: &[String],
) -> Result<(), Failure> {
    let folder = folder(publisher.layout(), id);
    let tree = stage.join(id.folder_name());
    clear(publisher.layout(), &folder)?;
    for name in refs {
        let at = tree.join("refs").join(name);
        fs_err::create_dir_all(at.parent().unwrap_or(&tree))?;
        fs_err::write(at, &own.commit)?;
    }
    if fs_err::symlink_metadata(&folder).is_err() {
        return Ok(publisher.publish(&tree, &folder, Content::Model)?);
    }
    for entry in fs_err::read_dir(tree.join("blobs"))? {
        let entry = entry?;
        publisher.publish(&entry.path(), &folder.join("blobs").join(entry.file_name()), Content::Model)?;
    }
    snapshot(publisher, &tree, &folder, own)?;
    for name in refs {
        let at = folder.join("refs").join(name);
        if !leads_to(&at, &own.commit) {
            publisher.publish(&tree.join("refs").join(name), &at, Content::Model)?;
        }
    }
    Ok(())
}

/// Whether a ref is a file of its own that names this commit.
pub fn leads_to(at: &Path, commit: &str) -> bool {
    fs_err::symlink_metadata(at).is_ok_and(|metadata| metadata.is_file())
        && bounded::text(at, NAME, Links::Refuse).is_ok_and(|text| text.trim() == commit)
}

fn snapshot(
    publisher: &Publisher<'_>,
    tree: &Path,
    folder: &Path,
    own: &LockedRevision,
) -> Result<(), Failure> {
    let at = folder.join("snapshots").join(&own.commit);
    let staged = tree.join("snapshots").join(&own.commit);
    if link_fault(&at, &own.files).is_none() {
        return Ok(());
    }
    if fs_err::symlink_metadata(&at).is_err() {
        return Ok(publisher.publish(&staged, &at, Content::Model)?);
    }
    // Of a revision that somebody reads no file goes away that stays: each link is set by itself.
    let is_folder = fs_err::symlink_metadata(&at).is_ok_and(|metadata| metadata.is_dir());
    if is_folder && only_links(&at) {
        for file in &own.files {
            let (link, target) = (at.join(&file.path), blob_link(file));
            if !fs_err::read_link(&link).is_ok_and(|is| is == target) {
                publisher.link(Part::Models, &link, &target)?;
            }
        }
    }
    if link_fault(&at, &own.files).is_some() {
        publisher.remove(Part::Models, &at)?;
        publisher.publish(&staged, &at, Content::Model)?;
    }
    Ok(())
}

/// Whether there is nothing but folders and links, so that each link can be set where it belongs.
fn only_links(folder: &Path) -> bool {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .all(|entry| entry.is_ok_and(|entry| entry.file_type().is_dir() || entry.path_is_symlink()))
}
