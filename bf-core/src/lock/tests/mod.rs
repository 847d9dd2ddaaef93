//! The protocol: who gets the lock, when it is taken over, and what happens to who lost it.

mod processes;
mod protocol;
mod random;
mod takeover;

use std::path::Path;
use std::time::Duration;

use super::times::Times;
use super::{LockError, Notice, Owner, Patience, SiteGuard, take};
use crate::site::Layout;

/// Short times, but not so short that a busy machine keeps a holder from counting up.
const QUICK: Times = Times {
    renew: Duration::from_millis(20),
    lease: Duration::from_secs(1),
    cache: Duration::from_millis(500),
    poll: Duration::from_millis(5),
};

/// For holders that must be seen to live, on a machine whose disk may be busy for seconds.
const PATIENT: Times = Times { cache: Duration::from_secs(2), ..QUICK };

/// A holder who does not count up: as one that is paused, or whose host is gone.
const PAUSED: Times = Times { renew: Duration::from_hours(1), ..QUICK };

/// An owner on a host of this name: nobody elsewhere can look whether the process lives.
fn on(host: &str) -> Owner {
    Owner { host: host.into(), ..Owner::me() }
}

fn layout(dir: &Path) -> Layout {
    Layout::new(dir)
}

/// Takes the lock at once, or says who has it.
fn now(layout: &Layout, me: &Owner, times: Times) -> Result<SiteGuard, LockError> {
    take::take(layout, me, times, Patience::None, &mut |_| {})
}

/// Takes the lock, and waits for it; with what was told.
fn waiting(
    layout: &Layout,
    me: &Owner,
    times: Times,
    patience: Patience,
) -> (Result<SiteGuard, LockError>, Vec<Notice>) {
    let mut told = Vec::new();
    let guard = take::take(layout, me, times, patience, &mut |notice| told.push(notice.clone()));
    (guard, told)
}

/// The names in the folder of locks.
fn names(layout: &Layout) -> Vec<String> {
    let entries = fs_err::read_dir(layout.locks()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
