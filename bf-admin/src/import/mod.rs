//! Models that are to get into the cache: what is taken of files of this machine, or of the Hub, and how they get there.

mod files;
mod history;
mod hub;
mod leave;
mod refetch;

pub(crate) use files::{Files, Kept};
pub(crate) use history::{History, called};
pub(crate) use hub::{Download, Reach, Tell, Wanted};
pub(crate) use refetch::{Refetch, refetch_of};

use std::path::Path;

use bf_core::model::ModelId;
use bf_core::model::store::{self, Asked, New};
use bf_core::publish::Publisher;
use bf_core::report::Failure;
use bf_core::site::{Layout, Locked, LockedRevision};

use crate::drift::Readers;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Files of this machine.
    Files(Files),
    /// The Hub.
    Hub(Box<Download>),
}

/// A revision of a model that is to get into the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewModel {
    /// The model.
    pub(crate) repo: ModelId,
    /// Where it comes from.
    pub(crate) source: Source,
    /// Whom it is for.
    pub(crate) readers: Readers,
    /// What the revision is asked for as; nothing for `main`.
    pub(crate) revision: Option<String>,
    /// Whether site.yaml declares it: then it is the revision that users get.
    pub(crate) declared: bool,
}

impl NewModel {
    fn asked(&self) -> Asked<'_> {
        Asked { revision: self.revision.as_deref(), declared: self.declared }
    }

    /// Makes it in the folder `stage`. What comes from the Hub is fetched into `downloads`.
    pub(crate) fn make(
        &self,
        layout: &Layout,
        stage: &Path,
        downloads: &Path,
        tell: &Tell<'_>,
    ) -> Result<LockedRevision, Failure> {
        match &self.source {
            Source::Files(files) => {
                let passed = |file: &str, bytes| match bytes {
                    0 => (tell.say)(file),
                    _ => (tell.add)(bytes),
                };
                let commit = files.history.as_ref().map(|history| history.commit.as_str());
                let new = New { id: &self.repo, commit, files: &files.files, take: files.take };
                store::make(layout, &new, stage, &passed)
            }
            Source::Hub(download) => hub::make(layout, download, (stage, downloads), tell),
        }
    }

    /// Publishes what was made, and writes it down in the lock.
    pub(crate) fn publish(
        &self,
        publisher: &Publisher<'_>,
        locked: &mut Locked,
        stage: &Path,
        made: LockedRevision,
    ) -> Result<(), Failure> {
        let own = locked.models.get(&self.repo.to_string());
        let mut refs = store::refs(own, self.asked());
        if let Source::Files(Files { history: Some(history), .. }) = &self.source {
            // What a name of site.lock leads to is decided there.
            let is_locked = |name: &str| own.is_some_and(|own| own.all().any(|own| own.name == Some(name)));
            let is_new = |name: &&String| *name != store::MAIN && !refs.contains(name) && !is_locked(name);
            let more: Vec<String> = history.refs.iter().filter(is_new).cloned().collect();
            refs.extend(more);
        }
        let policy = self.readers.policy(*publisher.policy());
        if let Source::Hub(download) = &self.source {
            download.record().publish(publisher, &self.repo, policy)?;
        }
        let for_them = publisher.with(policy);
        store::put(&for_them, &self.repo, stage, &made, &refs)?;
        store::enter(locked, &self.repo, self.asked(), made, self.readers.access.clone());
        Ok(())
    }

    /// Removes files that were to be moved, when the cache has them and site.lock says so.
    pub(crate) fn leave(&self) -> Result<(), Failure> {
        match &self.source {
            Source::Files(files) => leave::leave(files),
            Source::Hub(_) => Ok(()),
        }
    }
}
