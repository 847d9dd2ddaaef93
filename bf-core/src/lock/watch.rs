//! The taker's side of a lease: whether the newest claim is held.

use std::io;
use std::time::{Duration, Instant};

use super::Owner;
use super::folder::{Claim, Folder};
use super::times::Times;

/// What a look at the newest claim came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody holds it: it was released.
    Free,
    /// Its owner is dead, or silent for so long that he is taken for it.
    Takeable(Option<Owner>),
    /// Its lease has run out, and it is too early to say that nobody renews it.
    Silent(Option<Owner>, Duration),
    /// It is held.
    Held(Option<Owner>),
}

/// What was seen of one claim, and since when it has not changed.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Option<(u64, Option<Claim>)>,
    unchanged_since: Option<Instant>,
    /// Whether it was seen to change.
    lives: bool,
}

impl Watch {
    /// Looks at the claim `generation`, for `me`.
    pub(super) fn look(
        &mut self,
        folder: &Folder,
        generation: u64,
        me: &Owner,
        times: Times,
    ) -> io::Result<Verdict> {
        let claim = folder.read(generation)?;
        let record = claim.as_ref().and_then(|claim| claim.record.as_ref());
        let owner = record.map(|record| record.owner.clone());
        if record.is_some_and(|record| record.released) {
            return Ok(Verdict::Free);
        }
        if owner.as_ref().is_some_and(|owner| owner.is_gone(me)) {
            return Ok(Verdict::Takeable(owner));
        }
        let unchanged = self.unchanged(generation, claim.as_ref());
        // One that is listed and not there is about to be removed, or this host is slow to see it.
        let age = match &claim {
            Some(claim) => folder.now()?.since(claim.modified),
            None => Duration::ZERO,
        };
        let is_old = age > times.lease;
        Ok(if unchanged >= times.watch_without_clock() || is_old && unchanged >= times.watch() {
            Verdict::Takeable(owner)
        } else if is_old && !self.lives {
            Verdict::Silent(owner, times.watch().saturating_sub(unchanged))
        } else {
            Verdict::Held(owner)
        })
    }

    /// How long we have seen the claim as it is now.
    fn unchanged(&mut self, generation: u64, claim: Option<&Claim>) -> Duration {
        let now = Instant::now();
        let same = |(number, old): &(u64, Option<Claim>)| (*number == generation, old.as_ref() == claim);
        match self.seen.as_ref().map(same) {
            Some((true, true)) => {}
            other => {
                self.lives = matches!(other, Some((true, false)));
                self.seen = Some((generation, claim.cloned()));
                self.unchanged_since = Some(now);
            }
        }
        self.unchanged_since.map_or(Duration::ZERO, |since| now - since)
    }
}
