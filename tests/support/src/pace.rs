//! How many bytes a second may pass, of all connections together.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// What was not used is lost, but for this time's worth.
const MOMENT: Duration = Duration::from_millis(20);

/// A time that is as good as none, and can be added to another.
const LONG: Duration = Duration::from_hours(1);

/// A rate that connections share.
#[derive(Debug)]
pub(crate) struct Pace {
    turn: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Debug)]
struct Turn {
    /// Nothing: no limit.
    rate: Option<u64>,
    /// When the next bytes may pass.
    next: Instant,
    /// How often the rate was set.
    set: u64,
}

impl Pace {
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self { turn: Mutex::new(Turn { rate, next: Instant::now(), set: 0 }), changed: Condvar::new() }
    }

    /// From now on so many bytes a second, also for who waits already. With 0 none pass.
    pub(crate) fn set(&self, rate: Option<u64>) {
        let mut turn = self.turn.lock().expect("the pace");
        *turn = Turn { rate, next: Instant::now(), set: turn.set + 1 };
        drop(turn);
        self.changed.notify_all();
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.turn.lock().expect("the pace").rate.is_some()
    }

    /// Waits until these bytes may have passed.
    pub(crate) fn wait(&self, count: usize) {
        let mut turn = self.turn.lock().expect("the pace");
        while let Some(rate) = turn.rate {
            let (now, set) = (Instant::now(), turn.set);
            let until = (rate > 0).then(|| {
                let begin = turn.next.max(now.checked_sub(MOMENT).unwrap_or(now));
                begin + Duration::from_nanos(count as u64 * 1_000_000_000 / rate)
            });
            turn.next = until.unwrap_or(now);
            while turn.set == set {
                let left =
                    until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
                if left.is_zero() {
                    return;
                }
                turn = self.changed.wait_timeout(turn, left.min(LONG)).expect("the pace").0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_share_it_wait_for_each_other() {
        let pace = Pace::new(Some(1_000_000));
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5).for_each(|_| pace.wait(10_000)));
            }
        });
        assert!(begun.elapsed() >= Duration::from_millis(180), "{:?}", begun.elapsed());
        pace.set(Some(0));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pace.wait(1));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            pace.set(None);
        });
        assert!(!pace.is_limited());
    }
}
