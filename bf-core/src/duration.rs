//! Spans of time as users write them: Slurm's forms, and numbers with a unit.

/// Reads a span into seconds: Slurm's `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours[:minutes[:seconds]]`
/// (sbatch(1), `--time`), or a number with a unit: `90s`, `30m`, `2h`, `1d`.
pub fn seconds(text: &str) -> Result<u64, String> {
    parse(text.trim()).ok_or_else(|| {
        format!("`{text}` is no span of time: write minutes (`30`), `hours:minutes:seconds` or a unit (`90s`, `30m`, `2h`)")
    })
}

/// As [`seconds`], and longer than nothing.
pub fn some_seconds(text: &str) -> Result<u64, String> {
    match seconds(text)? {
        0 => Err("it must be longer than nothing".into()),
        seconds => Ok(seconds),
    }
}

fn parse(text: &str) -> Option<u64> {
    for (unit, seconds) in [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)] {
        if let Some(number) = text.strip_suffix(unit) {
            return whole(number)?.checked_mul(seconds);
        }
    }
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(whole(days)?), rest),
        None => (None, text),
    };
    let parts = rest.split(':').map(whole).collect::<Option<Vec<u64>>>()?;
    let (hours, minutes, seconds) = match (days.is_some(), parts.as_slice()) {
        (true, [hours]) => (*hours, 0, 0),
        (true, [hours, minutes]) => (*hours, *minutes, 0),
        (false, [minutes]) => (0, *minutes, 0),
        (false, [minutes, seconds]) => (0, *minutes, *seconds),
        (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
        _ => return None,
    };
    let terms = [(days.unwrap_or(0), 86_400), (hours, 3_600), (minutes, 60), (seconds, 1)];
    terms.iter().try_fold(0_u64, |sum, (count, unit)| sum.checked_add(count.checked_mul(*unit)?))
}

/// Digits only: no sign, no blanks.
fn whole(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurms_forms_and_units_are_read() {
        for (text, expected) in [
            ("30", 1_800),
            ("00:30:00", 1_800),
            ("1:30", 90),
            ("1-0", 86_400),
            ("1-2:3", 93_780),
            ("1-02:03:04", 93_784),
            ("90s", 90),
            ("30m", 1_800),
            ("2h", 7_200),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "-1", "1:2:3:4", "x", "1.5h", "9999999999999999999", "99999999999999999d", "1 0"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
