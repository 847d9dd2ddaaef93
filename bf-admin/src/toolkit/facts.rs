//! What is there of the toolkit, and what lies beside this bf-admin.

use std::path::{Path, PathBuf};

use bf_core::publish;
use bf_core::report::Failure;
use bf_core::site::{Layout, Locked, LockedFile};

use super::{ARCH, Beside, PROGRAM, VERSION, beside};
use crate::present::{Depth, Disk, one_file};

/// The toolkit in the cache and beside this bf-admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolkitFacts {
    /// The folder that this bf-admin lies in.
    pub(crate) folder: PathBuf,
    /// The bf-user in it, if there is one; one that must be published was asked who it is.
    pub(crate) beside: Result<Option<Beside>, Failure>,
    /// What the lock has for this architecture.
    pub(crate) own: Option<LockedFile>,
    /// That file.
    pub(crate) disk: Disk,
    /// What `bin/bf-user` leads to, if it leads to a file of the lock.
    pub(crate) linked: Option<LockedFile>,
    /// What is wrong with `bin/bf-user` as it is.
    pub(crate) link_fault: Option<String>,
    /// What stands where files and links must go.
    pub(crate) way: Result<(), Failure>,
}

/// What must be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// `bin/bf-user` must lead to what is there.
    Link(String),
    /// The program must be published.
    Publish(String),
    /// There is none, in the cache or beside us.
    None,
}

impl ToolkitFacts {
    /// What must be done; nothing where what lies beside us cannot be used.
    pub(crate) fn need(&self) -> Need {
        let link = || self.link_fault.clone().map_or(Need::Nothing, Need::Link);
        match (&self.beside, &self.own) {
            (Err(_), _) => Need::Nothing,
            (Ok(None), Some(_)) if self.disk == Disk::Whole => link(),
            (Ok(None), None) if self.linked.is_some() => Need::Nothing,
            (Ok(None), _) => Need::None,
            (Ok(Some(_)), None) => Need::Publish("not there yet".into()),
            (Ok(Some(beside)), Some(own)) => match &self.disk {
                Disk::Absent => Need::Publish("its file is missing".into()),
                Disk::Drifted(why) | Disk::Damaged(why) => Need::Publish(why.clone()),
                Disk::Whole if own.sha256 == beside.sha256 => link(),
                Disk::Whole if own.path == path() => Need::Publish("another build of it".into()),
                Disk::Whole => Need::Publish(format!("instead of {}", version_of(own))),
            },
        }
    }
}

/// Where the program of this version and architecture goes, relative to the cache.
pub(super) fn path() -> String {
    format!("toolkit/{VERSION}/{ARCH}/{PROGRAM}")
}

/// The version that a file of the lock is in the folder of.
pub(super) fn version_of(file: &LockedFile) -> &str {
    file.path.split('/').nth(1).unwrap_or_default()
}

/// The architecture, likewise.
pub(crate) fn arch_of(file: &LockedFile) -> &str {
    file.path.split('/').nth(2).unwrap_or_default()
}

/// What `bin/bf-user` holds to lead to a file.
pub(super) fn target(file: &LockedFile) -> PathBuf {
    Path::new("..").join(&file.path)
}

/// Looks at it. `program`: the running bf-admin.
pub(crate) fn gather(layout: &Layout, locked: &Locked, program: &Path, depth: Depth) -> ToolkitFacts {
    let folder = program.parent().unwrap_or(Path::new("/")).to_owned();
    let all = locked.toolkit.as_ref().map_or(&[][..], |toolkit| &toolkit.files);
    let own = all.iter().find(|file| arch_of(file) == ARCH).cloned();
    let disk = own.as_ref().map_or(Disk::Absent, |own| file(layout, own, depth));
    let link = layout.bin().join(PROGRAM);
    let target_there = fs_err::read_link(&link).ok();
    let linked = all.iter().find(|file| target_there.as_ref() == Some(&target(file)));
    let linked = linked.filter(|linked| file(layout, linked, Depth::Quick) == Disk::Whole).cloned();
    let shown = layout.relative(&link).display();
    let link_fault = match (&linked, target_there) {
        (Some(_), _) => None,
        (None, Some(other)) => Some(format!("{shown} leads to {}", other.display())),
        (None, None) if fs_err::symlink_metadata(&link).is_ok() => Some(format!("{shown} is no link")),
        (None, None) => Some(format!("{shown} is missing")),
    };
    let mut facts = ToolkitFacts {
        folder: folder.clone(),
        beside: beside::read(&folder),
        own,
        disk,
        linked,
        link_fault,
        way: Ok(()),
    };
    let need = facts.need();
    if let (Need::Publish(_), Ok(Some(beside))) = (&need, &facts.beside)
        && let Err(failure) = beside.check()
    {
        facts.beside = Err(failure);
    }
    if need != Need::Nothing {
        facts.way = way(layout, &link);
    }
    facts
}

fn way(layout: &Layout, link: &Path) -> Result<(), Failure> {
    publish::clear(layout, &layout.toolkit(VERSION, ARCH))?;
    publish::clear(layout, &layout.bin())?;
    Ok(publish::clear_link(link)?)
}

/// A file of the lock, with no link on the way to it.
pub(crate) fn file(layout: &Layout, own: &LockedFile, depth: Depth) -> Disk {
    let path = layout.root().join(&own.path);
    if let Err(error) = publish::clear(layout, path.parent().unwrap_or(&path)) {
        return Disk::Drifted(error.to_string());
    }
    one_file(layout.root(), &own.path, &own.sha256, own.bytes, depth)
}
