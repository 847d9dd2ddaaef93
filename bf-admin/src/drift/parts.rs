//! The folders of the parts, the files at the top, the toolkit and the images.

use std::os::unix::fs::MetadataExt;

use bf_core::publish::{Content, Policy};
use bf_core::site::{LockedImage, LockedToolkit, Part};

use super::Fault;
use super::look::{Look, entries};
use crate::toolkit::PROGRAM;

/// What belongs to no thing that is declared. The cache's own folder is left out where it was made by somebody else than who writes
/// into the cache: its group or its sticky bit may be what lets him in, and it is not his to change.
pub(super) fn top(look: &Look<'_>) -> Vec<Fault> {
    let layout = look.layout;
    let mut faults = Vec::new();
    if fs_err::symlink_metadata(layout.locks()).is_ok_and(|locks| locks.uid() == look.owner) {
        look.access(&mut faults, layout.root(), Content::Data);
    }
    let parts = Part::ALL.into_iter().filter(|part| *part != Part::Top).map(|part| layout.part(part));
    for folder in parts.chain([layout.bin(), layout.image_store(), layout.catalogs(), layout.model_records()])
    {
        look.access(&mut faults, &folder, Content::Data);
    }
    let files = [layout.resource_specs(), layout.site_yaml(), layout.site_lock(), layout.catalog()];
    // Data keeps what its owner may run, and nothing here is run.
    let data = Look { policy: Policy { file_mode: 0o644, ..look.policy }, ..*look };
    for file in files.into_iter().chain(entries(&layout.catalogs())) {
        data.uncovered(&mut faults, &file, Content::Model);
    }
    let audit = Look { policy: Policy { file_mode: 0o640, group: None, closed: false }, ..*look };
    audit.uncovered(&mut faults, &layout.audit(), Content::Model);
    faults
}

/// The programs of users, and the link to them.
pub(super) fn toolkit(look: &Look<'_>, own: &LockedToolkit) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in &own.files {
        let path = look.layout.root().join(&file.path);
        for folder in path.ancestors().skip(1).take(2).collect::<Vec<_>>().into_iter().rev() {
            look.access(&mut faults, folder, Content::Data);
        }
        look.access(&mut faults, &path, Content::Program);
    }
    look.access(&mut faults, &look.layout.bin().join(PROGRAM), Content::Program);
    faults.sort_by(|a, b| a.path.cmp(&b.path));
    faults.dedup();
    faults
}

/// An image's link, and its file in the store.
pub(super) fn image(look: &Look<'_>, own: &LockedImage) -> Vec<Fault> {
    let mut faults = Vec::new();
    look.access(&mut faults, &look.layout.root().join(&own.sif), Content::Program);
    look.access(&mut faults, &look.layout.image_store().join(own.store_name()), Content::Program);
    faults
}
