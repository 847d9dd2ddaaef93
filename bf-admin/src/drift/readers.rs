//! Whom each model is for: what site.yaml says, and for whom site.lock says that it was published. What nobody declares any more stays as
//! it was published, and is never opened.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bf_core::model::ModelId;
use bf_core::permissions::{For, Offer};
use bf_core::publish::Policy;
use bf_core::report::Failure;
use bf_core::site::{Access, Declared, DeclaredModel, Layout, Locked, LockedModel};
use nix::unistd::{AccessFlags, Gid, access};
use serde::Serialize;

use crate::session;

/// What a cache is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// What site.yaml declares now: `setup` brings it about, and writes down whom models are for.
    Declared,
    /// What was published: `permissions` sets that again, and opens nothing that site.lock keeps closed.
    Published,
}

/// Who may read a model, with the number that its group has on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Readers {
    /// As it is declared or written down.
    pub(crate) access: Access,
    group: Option<Gid>,
}

impl Readers {
    /// Those of a declaration.
    ///
    /// # Errors
    /// This machine has no such group.
    pub(crate) fn declared(model: &DeclaredModel) -> Result<Self, Failure> {
        Self::said(&model.repo, &model.access)
    }

    /// Those that somebody says for a model.
    ///
    /// # Errors
    /// This machine has no such group.
    pub(crate) fn said(repo: &ModelId, access: &Access) -> Result<Self, Failure> {
        let group = match access {
            Access::All => None,
            Access::Group(name) => Some(session::named_group(name, &format!("the model {repo}"))?),
        };
        Ok(Self { access: access.clone(), group })
    }

    /// Those of site.lock. A group that this machine does not have keeps it closed all the same.
    pub(crate) fn published(own: &LockedModel) -> Self {
        let group = match &own.access {
            Access::All => None,
            Access::Group(name) => session::group(name).ok().flatten(),
        };
        Self { access: own.access.clone(), group }
    }

    /// Those that count.
    pub(super) fn of(
        aim: Aim,
        declared: Option<&DeclaredModel>,
        own: Option<&LockedModel>,
    ) -> Result<Self, Failure> {
        match (declared, own) {
            (None, own) => Ok(own.map(Self::published).unwrap_or_default()),
            (Some(_), Some(own)) if aim == Aim::Published && !own.access.is_all() => Ok(Self::published(own)),
            (Some(declared), _) => Self::declared(declared),
        }
    }

    /// The modes and the group of what is for them.
    pub(crate) fn policy(&self, policy: Policy) -> Policy {
        match (&self.access, self.group) {
            (Access::All, _) => policy,
            (Access::Group(_), Some(group)) => policy.only_for(group),
            (Access::Group(_), None) => Policy { group: None, closed: true, ..policy },
        }
    }
}

/// `access: all -> group:games: closes it to others`.
pub(super) fn change(from: &Access, to: &Access) -> String {
    let does = match (from, to) {
        (_, Access::All) => "opens it to everybody".to_owned(),
        (Access::All, _) => "closes it to others".to_owned(),
        (Access::Group(from), Access::Group(to)) => {
            format!("closes it to group {from}, opens it to group {to}")
        }
    };
    format!("access: {from} -> {to}: {does}")
}

/// A model that is not for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Closed {
    /// Its id.
    pub(crate) name: String,
    /// Its folder.
    #[serde(serialize_with = "bf_core::report::lossy::path")]
    pub(crate) path: PathBuf,
    /// The group that it is for; nothing where neither site.yaml nor site.lock says so.
    pub(crate) group: Option<String>,
    /// Whether site.yaml declares it.
    pub(crate) declared: bool,
}

impl Closed {
    /// Why one cannot read it.
    pub(crate) fn why(&self) -> String {
        match &self.group {
            Some(group) => format!("group {group}"),
            None => "not declared".into(),
        }
    }

    /// What is said of one that is not declared: that it stays as it is.
    pub(crate) fn stays(&self) -> Option<String> {
        (!self.declared).then(|| match &self.group {
            Some(group) => format!("is no longer declared and stays closed to group {group}"),
            None => "is not declared and stays closed: nothing says whom it is for".into(),
        })
    }

    /// What is said to who cannot look into it.
    pub(crate) fn to_you(&self) -> Option<String> {
        let is_shut =
            access(&self.path, AccessFlags::R_OK | AccessFlags::X_OK) == Err(nix::errno::Errno::EACCES);
        let to_owner = fs_err::symlink_metadata(&self.path)
            .is_ok_and(|metadata| metadata.uid() == nix::unistd::geteuid().as_raw());
        (is_shut && !to_owner).then(|| format!("closed to you ({})", self.why()))
    }
}

/// What a cache offers to whom, and the models that are not for everybody.
pub(crate) fn offer(layout: &Layout, declared: &Declared, locked: &Locked, aim: Aim) -> (Offer, Vec<Closed>) {
    let mut offer = Offer::of_layout(layout);
    for (id, own) in &locked.engines {
        let folder = layout.engine(id, &own.version);
        offer.folder(folder.parent().unwrap_or(&folder).to_owned());
        for file in own.files.iter().filter(|file| Path::new(&file.path).starts_with("bin")) {
            offer.program(folder.join(&file.path));
        }
        offer.tree(folder, For::Everybody);
    }
    for own in locked.images.values() {
        offer.tree(layout.root().join(&own.sif), For::Everybody);
        offer.tree(layout.image_store().join(own.store_name()), For::Everybody);
    }
    for file in locked.toolkit.iter().flat_map(|own| &own.files) {
        offer.program(layout.root().join(&file.path));
    }
    let mut closed = Vec::new();
    for id in models(layout, declared, locked) {
        let name = id.to_string();
        let path = layout.models().join(id.folder_name());
        let wanted = declared.models.iter().find(|model| model.repo == id);
        let own = locked.models.get(&name);
        // Whether the group is there is told where it must be known.
        let access = match (wanted, own) {
            (Some(wanted), Some(own)) if aim == Aim::Declared || own.access.is_all() => Some(&wanted.access),
            (Some(wanted), None) => Some(&wanted.access),
            (_, own) => own.map(|own| &own.access),
        };
        let declared = wanted.is_some();
        match access {
            Some(Access::Group(group)) => {
                offer.tree(path.clone(), For::Group);
                closed.push(Closed { name, path, group: Some(group.clone()), declared });
            }
            // An older bf-admin wrote down for nobody: what is closed and not declared may have been meant to be.
            Some(Access::All) if declared || is_open(&path) => offer.tree(path, For::Everybody),
            _ if !is_open(&path) => closed.push(Closed { name, path, group: None, declared }),
            _ => {}
        }
    }
    (offer, closed)
}

/// All that are declared, written down, or there.
fn models(layout: &Layout, declared: &Declared, locked: &Locked) -> BTreeSet<ModelId> {
    let written = locked.models.keys().filter_map(|name| ModelId::parse_stored(name).ok());
    let there = super::look::entries(&layout.models());
    let there = there.iter().filter_map(|path| ModelId::from_folder_name(path.file_name()?.to_str()?));
    declared.models.iter().map(|model| model.repo.clone()).chain(written).chain(there).collect()
}

/// Whether everybody can look into a folder, as its mode says; what is not there is not closed.
fn is_open(path: &Path) -> bool {
    fs_err::symlink_metadata(path)
        .is_ok_and(|metadata| !metadata.is_dir() || metadata.mode() & 0o005 == 0o005)
        || fs_err::symlink_metadata(path).is_err()
}
