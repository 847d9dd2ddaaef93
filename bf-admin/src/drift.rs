//! What of the managed things was changed by hand besides their bytes: modes, owners, groups, links, and what nobody of us put among
//! them. Each fault knows what mends it, exactly that and nothing else.

mod engine;
mod look;
mod mend;
mod model;
mod parts;

pub(crate) use mend::mend;

use std::path::{Path, PathBuf};

use bf_core::publish::{Access, Policy};
use bf_core::report::Failure;
use bf_core::site::{Access as Readers, Declared, DeclaredModel, Layout, Locked, Part};
use nix::unistd::Gid;

use crate::plan::Section;
use crate::present::{self, Depth, Disk};
use crate::session;
use look::Look;

/// What mends one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mend {
    /// Set mode, owner or group.
    Access(PathBuf, Access),
    /// Move away what is not ours.
    Quarantine(Part, PathBuf),
    /// Make a link again, for these readers.
    Link(Part, PathBuf, PathBuf, Policy),
    /// Write a small file again, for these readers.
    File(Part, PathBuf, String, Policy),
}

/// One path that is not as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where.
    pub(crate) path: PathBuf,
    /// What, as the rest of a sentence that begins with the path.
    pub(crate) what: String,
    /// What mends it.
    pub(crate) mend: Mend,
}

/// The faults of one thing, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drift {
    /// As in `status`.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// What is wrong, in the order in which it is mended.
    pub(crate) faults: Vec<Fault>,
}

impl Drift {
    /// The first fault, and how many more there are.
    pub(crate) fn detail(&self, layout: &Layout) -> String {
        let Some(first) = self.faults.first() else { return String::new() };
        let shown = layout.relative(&first.path).display();
        match self.faults.len() - 1 {
            0 => format!("{shown} {}", first.what),
            more => format!("{shown} {}, and {more} more", first.what),
        }
    }

    /// Whether it is about this thing.
    pub(crate) fn is_of(&self, kind: &str, name: &str) -> bool {
        self.kind == kind && self.name == name
    }

    /// What mends it.
    pub(crate) fn mends(&self) -> Vec<Mend> {
        self.faults.iter().map(|fault| fault.mend.clone()).collect()
    }
}

/// Looks at everything that is declared and was provisioned. `only`: nothing else; empty: all.
pub(crate) fn gather(
    layout: &Layout,
    declared: &Declared,
    locked: &Locked,
    policy: Policy,
    only: &[Section],
) -> Result<Vec<Drift>, Failure> {
    let wanted = |section| only.is_empty() || only.contains(&section);
    let mut found = Vec::new();
    let Some(look) = Look::at(layout, policy) else { return Ok(found) };
    let mut note = |kind, name: &str, faults: Vec<Fault>| {
        if !faults.is_empty() {
            found.push(Drift { kind, name: name.to_owned(), faults });
        }
    };
    if only.is_empty() {
        note("permissions", "cache", parts::top(&look));
    }
    if let Some(toolkit) = locked.toolkit.as_ref().filter(|_| wanted(Section::Toolkit)) {
        note("toolkit", crate::toolkit::PROGRAM, parts::toolkit(&look, toolkit));
    }
    if wanted(Section::Engines) {
        for (id, own) in locked.engines.iter().filter(|(id, _)| declared.engines.contains_key(*id)) {
            note("engine", id, engine::engine(&look, id, own));
        }
    }
    if wanted(Section::Images) {
        for (name, own) in locked.images.iter().filter(|(name, _)| declared.images.contains_key(*name)) {
            note("image", name, parts::image(&look, own));
        }
    }
    for model in declared.models.iter().filter(|_| wanted(Section::Models)) {
        let name = model.repo.to_string();
        let Some(own) = locked.models.get(&name) else { continue };
        let look = Look { policy: policy_of(policy, group_of(model)?), ..look };
        let blobs = present::locked_blobs(layout, &model.repo, Some(own), Depth::Quick);
        note("model", &name, model::model(&look, &model.repo, own, blobs == Disk::Whole));
    }
    Ok(found)
}

/// The policy for a thing, which may be for a group only.
pub(crate) fn policy_of(policy: Policy, group: Option<Gid>) -> Policy {
    group.map_or(policy, |group| policy.only_for(group))
}

/// The group that alone may read a model.
pub(crate) fn group_of(model: &DeclaredModel) -> Result<Option<Gid>, Failure> {
    match &model.access {
        Readers::All => Ok(None),
        Readers::Group(name) => session::named_group(name, &format!("the model {}", model.repo)).map(Some),
    }
}

/// The folders of models that are not for everybody.
pub(crate) fn closed(layout: &Layout, declared: &Declared) -> Vec<PathBuf> {
    let closed = declared.models.iter().filter(|model| model.access != Readers::All);
    closed.map(|model| layout.models().join(model.repo.folder_name())).collect()
}

/// A fault of mode, owner or group.
fn access(path: &Path, metadata: &std::fs::Metadata, access: Access) -> Option<Fault> {
    (!access.is_empty()).then(|| Fault {
        path: path.to_owned(),
        what: format!("has {}", access.fault(metadata)),
        mend: Mend::Access(path.to_owned(), access),
    })
}
