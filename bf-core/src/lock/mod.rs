//! One writer at a time on a shared filesystem: the site lock. A proof of holding it ([`SiteGuard`]) is needed to publish anything.
//!
//! `flock` is not used. Over NFS it may hold for one host only, and FUSE filesystems often accept it and do nothing, so what is right
//! must not depend on it, and what does not depend on it needs it no more. All that is asked of the filesystem is that a hard link to a
//! name fails if the name is taken, and that a rename of a name that is gone fails: the server decides both, whatever its clients
//! have cached. Where there are no hard links, exclusive creation does the same.
//!
//! # Claims
//!
//! `.locks/site.N` is the claim of generation N. The newest claim is the one that counts: it is held, or its holder has written into it
//! that it is released. Who finds the newest claim free (released, its owner dead, its lease run out) writes a claim for N+1 beside it,
//! whole and flushed, and links it to its name. Of several takers one gets the name. A link whose answer got lost is
//! sent again and fails although it was made, so after a failure the claim's random token decides whose it is.
//!
//! Nobody ever removes or renames the claim of another to take the lock, so a taker who was late, and acts upon what he saw before others
//! took over and went again, cannot hurt them. The newest claim is never removed, so that numbers only grow; older ones are removed by
//! the holder. A late taker may then get a number that others had already; so everybody looks once more after his claim, and withdraws
//! it when there is a newer one. A taker who dies on the way leaves a file without a name, which counts for nothing, or a claim of a
//! dead owner.
//!
//! # Leases
//!
//! An owner on this very host (name, boot, process namespace) is judged by his process: gone, or another with the same number
//! that began at another time, and the lock is free at once. All others are judged by their lease. The holder counts up in its claim
//! every few seconds. A lease has run out when two things are true:
//!
//! - the claim was last written longer ago than a lease, by the clock of the file server: its time of change against that of a
//!   file written there just now. No clock of any host is asked;
//! - whoever wants the lock has seen no change of the claim for longer than attributes are cached and the holder counts. So the
//!   attribute caches of network filesystems, and those whose times are in truth the clocks of their clients, do no harm: a holder
//!   who lives is seen to live. Who has watched for a lease and a cache's time together needs no clock at all.
//!
//! Claims are of one length and rewritten in place, since a reader with cached attributes reads no more than the old length; attributes
//! are asked of the server with `AT_STATX_FORCE_SYNC`.
//!
//! # Fencing
//!
//! A holder who was only paused must not publish when he goes on. [`SiteGuard::check`] looks for a newer claim immediately before everything
//! that becomes visible. Between that look and the rename there is a moment that POSIX cannot close; the taker closes it. What a holder
//! makes is in a staging folder with the name of his claim, everything is published by a rename out of it (or into it, for
//! what is removed), and the first thing a taker does, before he reads anything, is to move these folders away and remove what is in
//! them ([`crate::publish::Publisher::new`]). A rename of the old holder so either came before the taker looked at the cache, as if
//! the takeover had been a moment later, or it fails. What the moment leaves open are an empty folder and a line in the audit log.

mod error;
mod folder;
mod fresh;
mod lease;
mod owner;
mod record;
mod take;
#[cfg(test)]
mod tests;
mod times;
mod watch;

use std::io::ErrorKind;
use std::time::Duration;

pub use error::LockError;
pub(crate) use fresh::{refresh, refresh_open};
pub use owner::Owner;
pub use take::{Notice, Patience};

use crate::site::Layout;
use folder::Folder;
use lease::Lease;
use times::Times;

/// Proof that this process is the one writer of a cache. The lock ends with it, also when the process is killed.
#[derive(Debug)]
pub struct SiteGuard {
    layout: Layout,
    folder: Folder,
    generation: u64,
    token: String,
    /// Ends before the rest, and says in the claim that it is free.
    _lease: Lease,
    #[cfg(test)]
    pub(crate) after_check: Option<fn()>,
}

impl SiteGuard {
    /// Takes the lock of the cache or says who has it. The cache's folder must exist.
    ///
    /// Who has it but is silent for longer than a lease is watched for some time first, then it is taken over.
    pub fn take(layout: &Layout) -> Result<Self, LockError> {
        Self::wait(layout, Patience::None, &mut |_| {})
    }

    /// Takes the lock of the cache, and waits for it as long as `patience` lasts. `tell` hears for whom we wait, and when
    /// that changes.
    pub fn wait(
        layout: &Layout,
        patience: Patience,
        tell: &mut dyn FnMut(&Notice),
    ) -> Result<Self, LockError> {
        take::take(layout, &Owner::me(), Times::REAL, patience, tell)
    }

    /// Whether we still hold the lock, as the file server sees it.
    ///
    /// # Errors
    /// [`LockError::Lost`] says who took over.
    pub fn check(&self) -> Result<(), LockError> {
        let lost = |by| Err(LockError::Lost { cache: self.layout.root().to_owned(), by });
        let newest = match self.folder.newest() {
            // Somebody removed the folder, with our claim in it.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return lost(None);
            }
            newest => newest?,
        };
        let claim = newest.map(|newest| self.folder.read(newest)).transpose()?.flatten();
        match claim.and_then(|claim| claim.record) {
            Some(record) if record.token == self.token => {}
            Some(record) if newest > Some(self.generation) => return lost(Some(Box::new(record.owner))),
            _ => return lost(None),
        }
        #[cfg(test)]
        if let Some(pause) = self.after_check {
            pause();
        }
        Ok(())
    }

    /// The cache that is locked.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Name of what is ours alone, until somebody takes over: the generation and the token.
    pub(crate) fn claim(&self) -> String {
        format!("{}-{}", self.generation, self.token)
    }

    /// Whether our claim is newer than the one with this name.
    pub(crate) fn is_newer_than(&self, claim: &str) -> bool {
        let generation = claim.split_once('-').and_then(|(number, _)| number.parse().ok());
        generation.is_some_and(|generation: u64| generation < self.generation)
    }
}

/// For people: whole seconds.
fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64().round())
}
