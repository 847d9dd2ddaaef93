//! How fast bytes come: a moving average, in which what was a while ago counts less and less.

use std::time::Duration;

/// Bytes that come in less time than this are one sample.
const SAMPLE: Duration = Duration::from_millis(500);

/// After so long a sample counts a third, in seconds.
const FADES: f64 = 5.0;

/// What would take longer is not told, in seconds: the rate is no forecast for days.
const LONGEST: u64 = 99 * 3600;

/// The speed of one thing.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate {
    /// When the sample began.
    since: Duration,
    /// Its bytes.
    bytes: u64,
    per_second: Option<f64>,
}

impl Rate {
    pub(super) fn begun(now: Duration) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// So many bytes came.
    pub(super) fn add(&mut self, now: Duration, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(per_second) = self.sampled(now) {
            *self = Self { since: now, bytes: 0, per_second: Some(per_second) };
        }
    }

    /// Bytes a second; nothing as long as too little came to tell. When nothing more comes it falls.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is not negative")]
    pub(super) fn per_second(&self, now: Duration) -> Option<u64> {
        let per_second = self.sampled(now).or(self.per_second)?;
        (per_second >= 1.0).then_some(per_second as u64)
    }

    /// The average with the sample, if that is long enough.
    #[allow(clippy::cast_precision_loss, reason = "it is an average")]
    fn sampled(&self, now: Duration) -> Option<f64> {
        let span = now.checked_sub(self.since).filter(|span| *span >= SAMPLE)?.as_secs_f64();
        let sample = self.bytes as f64 / span;
        Some(match self.per_second {
            Some(before) => before + (1.0 - (-span / FADES).exp()) * (sample - before),
            None => sample,
        })
    }
}

/// How long so many bytes take: `12 s`, `3 min`, `2 h 5 min`.
pub(super) fn left(bytes: u64, per_second: u64) -> Option<String> {
    let seconds = bytes.checked_div(per_second)?.saturating_add(1);
    let text = match (seconds / 3600, seconds.div_ceil(60)) {
        _ if seconds > LONGEST => return None,
        _ if seconds < 120 => format!("{seconds} s"),
        (0, minutes) if minutes < 60 => format!("{minutes} min"),
        (_, minutes) => format!("{} h {} min", minutes / 60, minutes % 60),
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_rate_is_smooth_and_falls_when_nothing_comes() {
        let mut rate = Rate::begun(seconds(1.0));
        rate.add(seconds(1.1), 1_000_000);
        assert_eq!(rate.per_second(seconds(1.2)), None, "of too little nothing follows");
        for tenth in 2..=100_u32 {
            rate.add(seconds(1.0 + f64::from(tenth) / 10.0), 1_000_000);
        }
        let steady = rate.per_second(seconds(11.0)).unwrap();
        assert!((9_900_000..=10_100_000).contains(&steady), "{steady}");
        // One second at ten times the speed is no reason to promise that.
        rate.add(seconds(12.0), 100_000_000);
        let jumped = rate.per_second(seconds(12.0)).unwrap();
        assert!((20_000_000..=30_000_000).contains(&jumped), "{jumped}");
        let stalled = rate.per_second(seconds(32.0)).unwrap();
        assert!(stalled < jumped / 20, "{stalled}");
        assert_eq!(rate.per_second(seconds(1000.0)), None);
    }

    #[test]
    fn what_is_left_is_said_as_people_do() {
        for (bytes, expected) in [
            (0, Some("1 s")),
            (118, Some("119 s")),
            (119, Some("2 min")),
            (3_000, Some("51 min")),
            (3_600, Some("1 h 1 min")),
            (2 * 3_600 + 290, Some("2 h 5 min")),
            (400_000, None),
            (u64::MAX, None),
        ] {
            assert_eq!(left(bytes, 1).as_deref(), expected, "{bytes}");
        }
        assert_eq!(left(1, 0), None);
    }
}
