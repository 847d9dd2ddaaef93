//! Why something that nothing names any more is kept: it may be wanted again.

use std::time::{Duration, SystemTime};

/// Why what lost its name at `since` stays; nothing when it may go. `grace_days` is how long everything stays, and `spare` how many of
/// its kind are kept beyond that, with the key of `retention` that says so, where this is one of those.
pub(crate) fn why(
    since: SystemTime,
    now: SystemTime,
    grace_days: u32,
    spare: Option<(u32, &str)>,
) -> Option<String> {
    const DAY: u64 = 24 * 60 * 60;
    let grace = Duration::from_secs(u64::from(grace_days) * DAY);
    let left = grace.checked_sub(now.duration_since(since).unwrap_or_default());
    if let Some(left) = left.filter(|left| !left.is_zero()) {
        let days = left.as_secs().div_ceil(DAY);
        let plural = if days == 1 { "" } else { "s" };
        return Some(format!(
            "needed until lately, kept for {days} more day{plural} (`retention.grace_days`)"
        ));
    }
    spare.map(|(count, key)| format!("one of the {count} that `retention.{key}` keeps"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_up_and_then_the_number_counts() {
        let now = SystemTime::now();
        let ago = |hours| now - Duration::from_hours(hours);
        let text = |hours, spare| why(ago(hours), now, 2, spare).unwrap_or_default();
        assert_eq!(text(1, None), "needed until lately, kept for 2 more days (`retention.grace_days`)");
        assert_eq!(text(25, None), "needed until lately, kept for 1 more day (`retention.grace_days`)");
        assert_eq!(text(49, Some((3, "keep_images"))), "one of the 3 that `retention.keep_images` keeps");
        assert_eq!(why(ago(49), now, 2, None), None);
    }
}
