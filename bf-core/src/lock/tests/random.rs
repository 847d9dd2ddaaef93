//! Many holders, paused at random moments for longer than a lease: what one has published no other one overwrites unseen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::*;
use crate::publish::{Policy, Publisher};
use crate::site::Part;

/// So short that a thread that has to wait for a processor is taken for dead.
pub(super) const HASTY: Times = Times {
    renew: Duration::from_millis(4),
    lease: Duration::from_millis(30),
    cache: Duration::from_millis(10),
    poll: Duration::from_millis(2),
};

/// A random number below `limit`.
pub(super) fn below(limit: u64) -> u64 {
    getrandom::u64().unwrap() % limit
}

/// Mostly nothing; sometimes longer than a lease and the time of a takeover.
pub(super) fn pause() {
    if below(8) == 0 {
        std::thread::sleep(Duration::from_millis(below(150)));
    }
}

/// Reads, and publishes one more: under the lock nobody else can have done so meanwhile.
pub(super) fn one_more(guard: &SiteGuard, more: impl FnOnce(String) -> String) -> bool {
    let Ok(publisher) = Publisher::new(guard, Policy::default()) else { return false };
    let path = publisher.layout().site_yaml();
    let old = fs_err::read_to_string(&path).unwrap_or_default();
    pause();
    publisher.file(Part::Top, &path, more(old).as_bytes()).is_ok()
}

#[test]
fn no_publication_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let (done, taken_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let begun = Instant::now();
    let threads: Vec<_> = (0..6)
        .map(|number| {
            let (layout, done, taken_over) = (layout.clone(), Arc::clone(&done), Arc::clone(&taken_over));
            std::thread::spawn(move || {
                while begun.elapsed() < Duration::from_secs(4) {
                    // Some never count up, as if they were paused all the time.
                    let renew = if below(3) == 0 { Duration::from_hours(1) } else { HASTY.renew };
                    let mut tell = |notice: &Notice| {
                        if matches!(notice, Notice::TakenOver(_)) {
                            taken_over.fetch_add(1, Ordering::Relaxed);
                        }
                    };
                    let patience = Patience::AtMost(Duration::from_millis(500));
                    let (me, times) = (on(&format!("host{number}")), Times { renew, ..HASTY });
                    let Ok(mut guard) = take::take(&layout, &me, times, patience, &mut tell) else {
                        continue;
                    };
                    guard.after_check = Some(pause);
                    let count = |old: String| (old.parse::<usize>().unwrap_or(0) + 1).to_string();
                    if one_more(&guard, count) {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let (done, taken_over) = (done.load(Ordering::Relaxed), taken_over.load(Ordering::Relaxed));
    println!("{done} publications, {taken_over} takeovers");
    let counted: usize = fs_err::read_to_string(layout.site_yaml()).unwrap().parse().unwrap();
    assert_eq!(counted, done);
    assert!(done > 0 && taken_over > 0, "{done} publications, {taken_over} takeovers");
}
