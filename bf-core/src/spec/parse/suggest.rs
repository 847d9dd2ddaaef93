//! "Did you mean": the known word that is nearest to a mistyped one.

/// Longer words are not compared: nobody mistypes them, and comparing costs the product of the lengths.
const MAX_CHARS: usize = 64;

/// The candidate nearest to `word`, when near enough to be what was meant. Case does not count.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    if word.len() > MAX_CHARS {
        return None;
    }
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower: Vec<char> = candidate.to_lowercase().chars().collect();
            let longest = word.len().max(lower.len());
            if longest > MAX_CHARS {
                return None;
            }
            let distance = distance(&word, &lower);
            (distance <= (longest / 3).max(1) && distance < longest).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many characters to insert, remove, replace or swap with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1; b.len() + 1];
        for j in 0..b.len() {
            let cost = usize::from(a[i] != b[j]);
            row[j + 1] = (last[j] + cost).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_suggested() {
        let keys = ["gpu_count", "gpu_type", "cpu_cores", "memory_gb"];
        assert_eq!(closest("gpu_cuont", keys), Some("gpu_count"));
        assert_eq!(closest("GPU_COUNT", keys), Some("gpu_count"));
        assert_eq!(closest("memory", keys), Some("memory_gb"));
        assert_eq!(closest("nodes", keys), None);
        assert_eq!(closest("", keys), None);
        assert_eq!(closest(&"x".repeat(100_000), keys), None);
    }
}
