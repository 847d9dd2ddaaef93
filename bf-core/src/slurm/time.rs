//! Times and durations as Slurm writes them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A time as `2026-11-23T15:00:00`, which is UTC because the programs run so. `None` for `N/A`, `Unknown` and the like.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let time: DateTime = text.trim().parse().ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

/// Seconds of `[days-]hours:minutes:seconds` or `minutes:seconds`; `None` for `UNLIMITED`, `INVALID` and the like.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (days.parse::<u64>().ok()?, clock),
        None => (0, text),
    };
    let parts: Vec<u64> = clock.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let clock = match parts[..] {
        [hours, minutes, seconds] => [hours, minutes, seconds],
        [minutes, seconds] => [0, minutes, seconds],
        _ => return None,
    };
    let [hours, minutes, seconds] = clock;
    days.checked_mul(24)?
        .checked_add(hours)?
        .checked_mul(60)?
        .checked_add(minutes)?
        .checked_mul(60)?
        .checked_add(seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(timestamp("2026-11-23T15:00:00").unwrap().to_string(), "2026-11-23T15:00:00Z");
        for text in ["", "N/A", "Unknown", "None", "(null)", "2026-13-01T00:00:00", "NONE"] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_seconds() {
        assert_eq!(seconds("0:07"), Some(7));
        assert_eq!(seconds("10:00"), Some(600));
        assert_eq!(seconds("03:00:00"), Some(10_800));
        assert_eq!(seconds("1-02:03:04"), Some(93_784));
        for text in [
            "",
            "UNLIMITED",
            "INVALID",
            "NOT_SET",
            "-1:00",
            "1",
            "1:2:3:4",
            "a:b",
            "99999999999999999-00:00:00",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_upsets_them(text in "[0-9:TNa-]{0,30}") {
            let _ = (timestamp(&text), seconds(&text));
        }
    }
}
