//! What of the managed things was changed by hand besides their bytes: modes, owners, groups, links, and what nobody of us put among
//! them. Each fault knows what mends it, exactly that and nothing else.

mod audit;
mod engine;
mod look;
mod mend;
mod model;
mod parts;
mod readers;
mod vouched;

pub(crate) use audit::{audit, grouped, in_doubt};
pub(crate) use mend::{mend, set};
pub(crate) use readers::{Aim, Closed, Readers, offer};

use std::path::{Path, PathBuf};

use bf_core::model::ModelId;
use bf_core::publish::{Access, Policy};
use bf_core::report::Failure;
use bf_core::site::{Access as For, Declared, Layout, Locked, Part};

use crate::plan::Section;
use crate::present::{self, Depth, Disk};
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
    /// Write down in site.lock whom a model is for.
    Record(String, For),
}

impl Mend {
    /// The group that something is given to by it.
    pub(crate) fn group(&self) -> Option<u32> {
        match self {
            Self::Access(_, access) => access.group,
            Self::Link(.., policy) | Self::File(.., policy) => policy.group.map(nix::unistd::Gid::as_raw),
            Self::Quarantine(..) | Self::Record(..) => None,
        }
    }
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
    /// For whom it was published, and for whom it is to be by now.
    pub(crate) change: Option<(For, For)>,
}

impl Drift {
    /// The first fault, and how many more there are; or that it is to be for others than it was.
    pub(crate) fn detail(&self, layout: &Layout) -> String {
        match &self.change {
            Some((from, to)) => readers::change(from, to),
            None => summary(layout, &self.faults.iter().collect::<Vec<_>>()),
        }
    }

    /// What is to be done about it: what is moved away comes first, since nothing else that is mended leaves its place.
    pub(crate) fn work(&self, layout: &Layout) -> String {
        let (strange, others): (Vec<&Fault>, Vec<&Fault>) =
            self.faults.iter().partition(|fault| matches!(fault.mend, Mend::Quarantine(..)));
        let Some(Fault { path, mend: Mend::Quarantine(part, _), .. }) = strange.first() else {
            return self.detail(layout);
        };
        let more = match strange.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let to = layout.part(*part).join(Layout::QUARANTINE);
        let (path, to) = (layout.relative(path).display(), layout.relative(&to).display());
        let moves = format!("moves {path} to {to}{more}");
        match (&self.change, others.as_slice()) {
            (None, []) => moves,
            (None, others) => format!("{moves}; {}", summary(layout, others)),
            (Some(_), _) => format!("{}; {moves}", self.detail(layout)),
        }
    }

    /// Whether it is about this thing.
    pub(crate) fn is_of(&self, kind: &str, name: &str) -> bool {
        self.kind == kind && self.name == name
    }

    /// What mends it.
    pub(crate) fn mends(&self) -> Vec<Mend> {
        let mut mends: Vec<Mend> = self.faults.iter().map(|fault| fault.mend.clone()).collect();
        // What is closed is first written down as closed, and what is opened is written down last: a run that ends between the two leaves
        // something that the next one closes.
        match &self.change {
            Some((_, to @ For::Group(_))) => mends.insert(0, Mend::Record(self.name.clone(), to.clone())),
            Some((_, For::All)) => mends.push(Mend::Record(self.name.clone(), For::All)),
            None => {}
        }
        mends
    }
}

/// The first of some faults, and how many more there are.
fn summary(layout: &Layout, faults: &[&Fault]) -> String {
    let Some(first) = faults.first() else { return String::new() };
    let shown = layout.relative(&first.path).display().to_string();
    let shown = if shown.is_empty() { "the cache's folder" } else { &shown };
    match faults.len() - 1 {
        0 => format!("{shown} {}", first.what),
        more => format!("{shown} {}, and {more} more", first.what),
    }
}

/// Looks at everything that is declared and was provisioned, and at what was published for a group and is not declared any more. `only`:
/// nothing else; empty: all.
pub(crate) fn gather(
    layout: &Layout,
    declared: &Declared,
    locked: &Locked,
    policy: Policy,
    only: &[Section],
    aim: Aim,
) -> Result<Vec<Drift>, Failure> {
    let wanted = |section| only.is_empty() || only.contains(&section);
    let mut found = Vec::new();
    let Some(look) = Look::at(layout, policy) else { return Ok(found) };
    let mut note = |kind, name: &str, faults: Vec<Fault>, change: Option<(For, For)>| {
        if !faults.is_empty() || change.is_some() {
            found.push(Drift { kind, name: name.to_owned(), faults, change });
        }
    };
    if only.is_empty() {
        note("permissions", "cache", parts::top(&look), None);
    }
    if let Some(toolkit) = locked.toolkit.as_ref().filter(|_| wanted(Section::Toolkit)) {
        note("toolkit", crate::toolkit::PROGRAM, parts::toolkit(&look, toolkit), None);
    }
    if wanted(Section::Engines) {
        for (id, own) in locked.engines.iter().filter(|(id, _)| declared.engines.contains_key(*id)) {
            note("engine", id, engine::engine(&look, id, own), None);
        }
    }
    if wanted(Section::Images) {
        for (name, own) in locked.images.iter().filter(|(name, _)| declared.images.contains_key(*name)) {
            note("image", name, parts::image(&look, own), None);
        }
    }
    if !wanted(Section::Models) {
        return Ok(found);
    }
    for model in &declared.models {
        let name = model.repo.to_string();
        let readers = Readers::of(aim, Some(model), locked.models.get(&name))?;
        let Some(own) = locked.models.get(&name) else { continue };
        let look = Look { policy: readers.policy(policy), ..look };
        let blobs = present::locked_blobs(layout, &model.repo, Some(own.main()), Depth::Quick);
        let faults = model::model(&look, &model.repo, own, blobs == Disk::Whole);
        let is_there = look::is_folder(&layout.models().join(model.repo.folder_name()));
        let change =
            (own.access != model.access && is_there).then(|| (own.access.clone(), model.access.clone()));
        note("model", &name, faults, change);
    }
    for (name, own) in locked.models.iter().filter(|(_, own)| !own.access.is_all()) {
        let Ok(id) = ModelId::parse_stored(name) else { continue };
        if declared.models.iter().all(|model| model.repo != id) {
            let look = Look { policy: Readers::published(own).policy(policy), ..look };
            let mut faults = model::model(&look, &id, own, false);
            // Nobody misses it; only whom it is for is kept.
            faults.retain(|fault| matches!(fault.mend, Mend::Access(..)));
            note("model", name, faults, None);
        }
    }
    Ok(found)
}

/// A fault of mode, owner or group.
fn access(path: &Path, metadata: &std::fs::Metadata, access: Access) -> Option<Fault> {
    (!access.is_empty()).then(|| Fault {
        path: path.to_owned(),
        what: format!("has {}", access.fault(metadata)),
        mend: Mend::Access(path.to_owned(), access),
    })
}
