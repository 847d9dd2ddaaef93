//! One line of a terminal that says how far something is.

use unicode_width::UnicodeWidthChar;

use super::{human_bytes, is_unshown};

/// How far it is: `25% of 200 B`; nothing as long as nobody knows the whole.
pub fn how_far(done: u64, total: u64) -> Option<String> {
    let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
    (total > 0).then(|| format!("{percent}% of {}", human_bytes(total)))
}

/// What of a text fits into a line of so many columns, without what could change a terminal or turn the direction of writing. The last
/// column stays free: a terminal may begin a new line behind it.
pub fn fitted(text: &str, columns: usize) -> String {
    let mut left = columns.max(2) - 1;
    let mut fits = |character: &char| {
        let fits = left.checked_sub(character.width().unwrap_or(0));
        fits.inspect(|rest| left = *rest).is_some()
    };
    text.chars().filter(|character| !is_unshown(*character)).take_while(|character| fits(character)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_and_is_plain() {
        assert_eq!(fitted("abc\x1b[2Kdef", 6), "abc[2");
        assert_eq!(fitted("abc", 0), "a");
        assert_eq!(fitted("a\u{202e}\u{6a21}b", 3), "a", "a character of two columns");
        assert_eq!(fitted("a\u{202e}\u{6a21}b", 5), "a\u{6a21}b");
        assert_eq!(how_far(50, 200).unwrap(), "25% of 200 B");
        assert_eq!(how_far(u64::MAX, 200).unwrap(), "100% of 200 B");
        assert_eq!(how_far(u64::MAX / 2, u64::MAX).unwrap().split(' ').next(), Some("49%"));
        assert_eq!(how_far(7, 0), None);
    }
}
