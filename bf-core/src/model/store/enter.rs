//! What site.lock says of a revision: which one users get who name none, and which others are kept beside it.

use std::io;
use std::time::SystemTime;

use super::{MAIN, folder};
use crate::model::{ModelId, Revision};
use crate::site::{Access, Layout, Locked, LockedModel, LockedRevision, RevisionOf};

/// What a revision was asked for as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// A branch, a tag or a commit; nothing for `main`.
    pub revision: Option<&'a str>,
    /// Whether it is the one of site.yaml: then it is the one that users get, and takes the place of the one before.
    pub declared: bool,
}

impl<'a> Asked<'a> {
    /// `main` is what it is also where it is written out.
    fn name(&self) -> Option<&'a str> {
        self.revision.filter(|name| *name != MAIN)
    }

    /// Whether that is what users get already, as far as names tell.
    pub fn is_main_of(&self, own: &LockedModel) -> bool {
        match self.name() {
            Some(name) => own.revision.as_deref() == Some(name) || own.commit == name,
            None => own.revision.is_none(),
        }
    }

    /// What the lock has under that name.
    pub fn of<'l>(&self, own: &'l LockedModel) -> Option<RevisionOf<'l>> {
        own.all().find(|one| one.name == self.name())
    }

    /// Whether it is the revision that users get who name none: the declared one, `main`, the first that there is, or that very one again.
    pub fn is_default(&self, own: Option<&LockedModel>) -> bool {
        self.declared || self.name().is_none() || own.is_none_or(|own| own.revision.as_deref() == self.name())
    }
}

/// The refs that lead to a revision: its name, if that is no commit, and `main`, if users get it.
pub fn refs(own: Option<&LockedModel>, asked: Asked<'_>) -> Vec<String> {
    let is_commit = |name: &str| Revision::parse(name).is_ok_and(|name| name.is_commit());
    let name = asked.name().filter(|name| !is_commit(name)).map(str::to_owned);
    let main = asked.is_default(own).then(|| MAIN.to_owned());
    name.into_iter().chain(main).collect()
}

/// Writes a revision that was published down in the lock. The one that users got before is kept beside it when it has a name of its own and
/// site.yaml has not replaced it; else it is one that `model prune` removes some time.
pub fn enter(locked: &mut Locked, id: &ModelId, asked: Asked<'_>, new: LockedRevision, access: Access) {
    let own = locked.models.entry(id.to_string());
    let before = match &own {
        std::collections::btree_map::Entry::Occupied(own) => Some(own.get()),
        std::collections::btree_map::Entry::Vacant(_) => None,
    };
    let is_default = asked.is_default(before);
    let own = own.or_default();
    own.access = access;
    let name = asked.name().map(str::to_owned);
    if !is_default {
        own.revisions.extend(name.map(|name| (name, new)));
        return;
    }
    let replaced = std::mem::replace(&mut own.revision, name);
    let commit = std::mem::replace(&mut own.commit, new.commit);
    let files = std::mem::replace(&mut own.files, new.files);
    if let Some(replaced) =
        replaced.filter(|replaced| !asked.declared && own.revision.as_ref() != Some(replaced))
    {
        own.revisions.insert(replaced, LockedRevision { commit, files });
    }
    if let Some(name) = &own.revision {
        own.revisions.remove(name);
    }
}

/// Marks the snapshots that the lock names no more with the time, from which `model prune` counts.
///
/// # Errors
/// Only what keeps a folder that is there from being marked.
pub fn retire(layout: &Layout, before: &Locked, now: &Locked) -> io::Result<()> {
    for (name, old) in &before.models {
        let Ok(id) = ModelId::parse_stored(name) else { continue };
        let is_named =
            |commit: &str| now.models.get(name).is_some_and(|own| own.all().any(|own| own.commit == commit));
        for gone in old.all().filter(|old| !is_named(old.commit)) {
            let snapshot = folder(layout, &id).join("snapshots").join(gone.commit);
            match fs_err::File::open(snapshot) {
                Ok(open) => open.set_modified(SystemTime::now())?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
