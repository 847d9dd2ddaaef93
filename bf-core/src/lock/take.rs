//! Taking the lock: look, wait if that is wanted, claim, look again.

use std::time::{Duration, Instant};

use super::folder::Folder;
use super::lease::Lease;
use super::record::Record;
use super::times::Times;
use super::watch::{Verdict, Watch};
use super::{LockError, Owner, SiteGuard};
use crate::site::Layout;

/// How long to wait for a lock that somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patience {
    /// Not at all.
    #[default]
    None,
    /// At most this long.
    AtMost(Duration),
    /// Until it is free.
    Endless,
}

impl Patience {
    fn is_over(self, waited: Duration) -> bool {
        match self {
            Self::None => true,
            Self::AtMost(limit) => waited >= limit,
            Self::Endless => false,
        }
    }
}

/// What there is to say while one waits. The owner is unknown where a claim cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Somebody holds the lock.
    Held(Option<Owner>),
    /// The lease of this owner has run out; if nothing is heard of him for this long, the lock is taken over.
    Silent(Option<Owner>, Duration),
    /// The lock was taken over from this owner.
    TakenOver(Option<Owner>),
}

/// Takes the lock for `me`.
pub(super) fn take(
    layout: &Layout,
    me: &Owner,
    times: Times,
    patience: Patience,
    tell: &mut dyn FnMut(&Notice),
) -> Result<SiteGuard, LockError> {
    let folder = Folder::of(layout)?;
    let begun = Instant::now();
    let (mut watch, mut told) = (Watch::default(), None);
    loop {
        let newest = folder.newest()?;
        let verdict = match newest {
            None => Verdict::Free,
            Some(newest) => watch.look(&folder, newest, me, times)?,
        };
        let (notice, key) = match verdict {
            Verdict::Free | Verdict::Takeable(_) => {
                if let Some(guard) = claim(layout, &folder, newest.unwrap_or(0) + 1, me, times)? {
                    if let Verdict::Takeable(owner) = verdict {
                        tell(&Notice::TakenOver(owner));
                    }
                    return Ok(guard);
                }
                // Somebody else was faster. Not at once again: his claim is to be seen.
                std::thread::sleep(times.poll.min(Duration::from_millis(50)));
                continue;
            }
            Verdict::Silent(owner, left) => {
                (Notice::Silent(owner.clone(), left), (true, owner.map(|owner| (owner.host, owner.pid))))
            }
            Verdict::Held(owner) => {
                let waited = begun.elapsed();
                if patience.is_over(waited) {
                    let waited = (patience != Patience::None).then_some(waited);
                    let cache = layout.root().to_owned();
                    return Err(LockError::Busy { cache, owner: owner.map(Box::new), waited });
                }
                (Notice::Held(owner.clone()), (false, owner.map(|owner| (owner.host, owner.pid))))
            }
        };
        if told.as_ref() != Some(&key) {
            tell(&notice);
            told = Some(key);
        }
        std::thread::sleep(times.poll);
    }
}

/// Claims a generation; `None` if somebody else has it, or a newer one.
pub(super) fn claim(
    layout: &Layout,
    folder: &Folder,
    generation: u64,
    me: &Owner,
    times: Times,
) -> Result<Option<SiteGuard>, LockError> {
    let me = Owner { since: crate::host::now(), ..me.clone() };
    let record = Record::new(generation, me)?;
    if !folder.claim(&record)? {
        return Ok(None);
    }
    // What we went by may have been long ago. Our own claim has this host look at the folder anew.
    if folder.newest()? != Some(generation) {
        folder.withdraw(generation)?;
        return Ok(None);
    }
    let token = record.token.clone();
    let lease = Lease::start(folder.clone(), record, times.renew)?;
    // Leftovers take nothing but room.
    let _ = folder.clean(generation, times);
    Ok(Some(SiteGuard {
        layout: layout.clone(),
        folder: folder.clone(),
        generation,
        token,
        _lease: lease,
        #[cfg(test)]
        after_check: None,
    }))
}
