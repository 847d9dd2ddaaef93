//! A limit of bytes per second that all connections share.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A token bucket: who takes bytes is told how long to wait for them.
#[derive(Debug)]
pub struct Bandwidth {
    /// Bytes per second; 0 is no limit.
    rate: u64,
    /// When what was taken until now will have been allowed.
    paid: Mutex<Instant>,
}

/// What may come at once after a pause.
const BURST: Duration = Duration::from_millis(250);

impl Bandwidth {
    /// So many bytes per second; 0 for no limit.
    pub fn new(rate: u64) -> Self {
        Self { rate, paid: Mutex::new(Instant::now()) }
    }

    /// Reads a rate as people write it, `500K`, `50M`, `1G`, `1000000`: multiples of 1000 bytes per second.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<u64, &'static str> {
        const WRONG: &str = "a number of bytes per second is needed, as 500K, 50M or 1G";
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let factor: u64 =
            match text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase().trim_end_matches('B') {
                "" => 1,
                "K" => 1_000,
                "M" => 1_000_000,
                "G" => 1_000_000_000,
                _ => return Err(WRONG),
            };
        let rate = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        rate.filter(|rate| *rate > 0).ok_or(WRONG)
    }

    /// Takes bytes that have come: the pause before the next ones may be read.
    pub(crate) fn take(&self, bytes: u64) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate);
        let cost = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let mut paid = self.paid.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        // A rate of one byte per year is no reason to panic.
        *paid = (*paid).max(earliest).checked_add(cost).unwrap_or(*paid);
        paid.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_unit_of_thousands() {
        for (text, bytes) in [("1", 1), ("500k", 500_000), ("50M", 50_000_000), ("2GB", 2_000_000_000)] {
            assert_eq!(Bandwidth::parse(text), Ok(bytes));
        }
        for wrong in ["", "M", "0", "1.5M", "5T", "-1", "5 M", "99999999999G", "5\u{b5}"] {
            assert!(Bandwidth::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_taken_costs_time_and_a_pause_saves_little() {
        let limit = Bandwidth::new(1000);
        let first = limit.take(1000);
        assert!(first > Duration::from_millis(700) && first <= Duration::from_secs(1), "{first:?}");
        let second = limit.take(1000);
        assert!(second > Duration::from_millis(1700), "{second:?}");
        assert_eq!(Bandwidth::new(0).take(u64::MAX), Duration::ZERO);
    }
}
