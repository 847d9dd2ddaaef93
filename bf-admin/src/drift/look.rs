//! How one path is looked at.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bf_core::publish::{Content, Policy};
use bf_core::site::{Layout, Part};

use super::{Fault, Mend, access};

/// What every look needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    /// The cache.
    pub(super) layout: &'a Layout,
    /// Modes and group.
    pub(super) policy: Policy,
    /// The cache's owner.
    pub(super) owner: u32,
}

impl<'a> Look<'a> {
    /// Nothing where there is no cache yet.
    pub(super) fn at(layout: &'a Layout, policy: Policy) -> Option<Self> {
        let owner = fs_err::metadata(layout.root()).ok()?.uid();
        Some(Self { layout, policy, owner })
    }

    /// The same of what neither site.lock nor the layout says the content of: if it is somebody else's, nothing of it is set, since he
    /// may have written anything, and `permissions` names it.
    pub(super) fn uncovered(&self, faults: &mut Vec<Fault>, path: &Path, content: Content) {
        let mut own = Vec::new();
        self.access(&mut own, path, content);
        faults.extend(
            own.into_iter()
                .filter(|fault| !matches!(&fault.mend, Mend::Access(_, access) if access.owner.is_some())),
        );
    }

    /// What of mode, owner and group is not as it was published. What is not there, or cannot be looked at, is told elsewhere.
    pub(super) fn access(&self, faults: &mut Vec<Fault>, path: &Path, content: Content) {
        if let Ok(metadata) = fs_err::symlink_metadata(path) {
            faults.extend(access(path, &metadata, self.policy.off_at(path, &metadata, content, self.owner)));
        }
    }
}

/// What nobody of us put there.
pub(super) fn strange(part: Part, path: &Path, who: &str) -> Fault {
    Fault {
        path: path.to_owned(),
        what: format!("is foreign: no {who} put it there"),
        mend: Mend::Quarantine(part, path.to_owned()),
    }
}

/// The entries of a folder, by name. A folder that cannot be read has none: its mode is a fault of its own.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Whether there is a folder, and no link to one.
pub(super) fn is_folder(path: &Path) -> bool {
    fs_err::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}
