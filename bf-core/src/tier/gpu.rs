//! How much memory a tier's GPUs have, where the administrator's words have a number for it.

use crate::spec::Tier;

/// What all GPUs of `tier` have together, in bytes: `gpu_type`, else `gres`, else `constraint`, says `80gb`, which is 80 * 2^30 bytes.
/// Nothing when none does or one speaks of several sizes, since the names of GPUs (`a100`) and features (`gpu80`) are the site's own.
pub fn gpu_memory(tier: &Tier) -> Option<u64> {
    let words = [&tier.gpu_type, &tier.slurm.gres, &tier.slurm.constraint];
    let one = words.into_iter().flatten().find_map(|words| size_in(words))?;
    one.checked_mul(1 << 30)?.checked_mul(u64::from(tier.gpu_count)).filter(|bytes| *bytes > 0)
}

/// The one number in front of `gb` or `gib`, as `a100-80gb`, `H100 80 GB`, `gpu:1g.10gb:2`.
fn size_in(words: &str) -> Option<u64> {
    let words = words.to_ascii_lowercase();
    let mut sizes = Vec::new();
    for unit in ["gb", "gib"] {
        for (at, _) in words.match_indices(unit) {
            let (before, behind) = (&words[..at], &words[at + unit.len()..]);
            let stem = before.trim_end().trim_end_matches(|c: char| c.is_ascii_digit());
            let number = before[stem.len()..].trim_end().parse::<u64>();
            // `a100 gb` says what it is, and not how large.
            let is_name = before.ends_with(' ') && stem.ends_with(|c: char| c.is_ascii_alphabetic());
            let ends = !behind.starts_with(|c: char| c.is_ascii_alphanumeric());
            sizes.extend(number.ok().filter(|size| ends && !is_name && (1..=100_000).contains(size)));
        }
    }
    sizes.dedup();
    match sizes[..] {
        [size] => Some(size),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_with_a_unit_are_sizes() {
        for (words, size) in [
            ("a100-80gb", Some(80)),
            ("nvidia_a100_80gb_pcie", Some(80)),
            ("H100 80 GB", Some(80)),
            ("1g.10gb", Some(10)),
            ("mi300x 192GiB", Some(192)),
            ("gpu:a100-sxm4-40gb:2", Some(40)),
            ("80gb|80gb", Some(80)),
            ("a100", None),
            ("gpu80", None),
            ("a100 gb", None),
            ("80gbps", None),
            ("40gb|80gb", None),
            ("0gb", None),
            ("99999999999999999999gb", None),
            ("", None),
        ] {
            assert_eq!(size_in(words), size, "{words}");
        }
    }
}
