//! How many bytes a second may pass, of all connections together.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What was not used is lost, but for this time's worth.
const MOMENT: Duration = Duration::from_millis(20);

/// A rate that connections share. By default there is no limit.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<Turn>);

#[derive(Debug)]
struct Turn {
    rate: Option<u64>,
    /// When the next bytes may pass.
    next: Instant,
}

impl Pace {
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self(Mutex::new(Turn { rate, next: Instant::now() }))
    }

    /// From now on so many bytes a second.
    pub(crate) fn set(&self, rate: Option<u64>) {
        self.0.lock().expect("the pace").rate = rate;
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.0.lock().expect("the pace").rate.is_some()
    }

    /// Waits until these bytes may pass.
    pub(crate) fn wait(&self, count: usize) {
        let mut turn = self.0.lock().expect("the pace");
        let Some(rate) = turn.rate else { return };
        let takes = Duration::from_nanos(count as u64 * 1_000_000_000 / rate.max(1));
        let now = Instant::now();
        turn.next = turn.next.max(now.checked_sub(MOMENT).unwrap_or(now)) + takes;
        let until = turn.next;
        drop(turn);
        std::thread::sleep(until.saturating_duration_since(now));
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
        pace.set(None);
        let begun = Instant::now();
        pace.wait(1 << 40);
        assert!(begun.elapsed() < Duration::from_secs(1) && !pace.is_limited());
    }
}
