//! Whom the things in a cache are for, as far as anything says so: the layout, and what site.yaml and site.lock name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::site::{Layout, Part};

/// Who is to read something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// Everybody.
    Everybody,
    /// The members of its group.
    Group,
}

/// What a cache offers, and to whom. What is not named is offered to nobody, and stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Folders that everybody must be able to look into, whatever is in them.
    folders: BTreeSet<PathBuf>,
    /// Files, and folders with all that is in them.
    trees: BTreeMap<PathBuf, For>,
    /// What is run.
    programs: BTreeSet<PathBuf>,
}

impl Offer {
    /// What every cache has: its parts, the toolkit, the site's own templates and the files at its top. All that is for everybody.
    pub fn of_layout(layout: &Layout) -> Self {
        let mut offer = Self::default();
        offer.folders.extend(Part::ALL.map(|part| layout.part(part)));
        offer.folders.insert(layout.image_store());
        for tree in [
            layout.part(Part::Toolkit),
            layout.bin(),
            layout.templates(),
            layout.catalogs(),
            layout.catalog(),
            layout.resource_specs(),
            layout.site_yaml(),
            layout.site_lock(),
        ] {
            offer.tree(tree, For::Everybody);
        }
        offer
    }

    /// Adds a folder that everybody must be able to look into.
    pub fn folder(&mut self, path: PathBuf) {
        self.folders.insert(path);
    }

    /// Adds a file, or a folder with all that is in it.
    pub fn tree(&mut self, path: PathBuf, readers: For) {
        self.trees.insert(path, readers);
    }

    /// Adds what who may read it must also be able to run.
    pub fn program(&mut self, path: PathBuf) {
        self.programs.insert(path);
    }

    /// Whom a path is for, if anything says so.
    pub(super) fn of(&self, path: &Path) -> Option<For> {
        if self.folders.contains(path) {
            return Some(For::Everybody);
        }
        path.ancestors().find_map(|folder| self.trees.get(folder).copied())
    }

    /// Whether it is run.
    pub(super) fn is_program(&self, path: &Path) -> bool {
        self.programs.contains(path)
    }
}
