//! Which of the names there are somebody may have meant.

/// The most names that are offered.
const OFFERED: usize = 3;

/// Up to three of `names` that are near to `wanted`, the nearest first, ties by name.
pub(super) fn near(wanted: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(2);
    let mut found: Vec<(usize, String)> = names
        .into_iter()
        .filter_map(|name| {
            let distance = distance_to(&wanted, &name.to_lowercase());
            (distance <= limit).then_some((distance, name))
        })
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(OFFERED).map(|(_, name)| name).collect()
}

/// People leave out the organisation or write the beginning of a name: both count as near.
fn distance_to(wanted: &str, name: &str) -> usize {
    let short = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let (wanted_short, name_short) = (short(wanted), short(name));
    if wanted == name {
        return 0;
    }
    if wanted_short == name_short || (wanted_short.len() >= 4 && name_short.contains(&wanted_short)) {
        return 1;
    }
    edits(wanted, name).min(if wanted.contains('/') { usize::MAX } else { edits(wanted, &name_short) })
}

/// Levenshtein's distance in characters, with two rows.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_case_and_missing_organisations_are_near() {
        let there =
            || ["openai/whisper-tiny", "HuggingFaceTB/SmolLM2-135M-Instruct", "gpt2"].map(String::from);
        assert_eq!(near("openai/whisper-tinny", there()), ["openai/whisper-tiny"]);
        assert_eq!(
            near("huggingfacetb/smollm2-135m-instruct", there()),
            ["HuggingFaceTB/SmolLM2-135M-Instruct"]
        );
        assert_eq!(near("SmolLM2-135M-Instruct", there()), ["HuggingFaceTB/SmolLM2-135M-Instruct"]);
        assert_eq!(near("HuggingFaceTB/SmolLM2", there()), ["HuggingFaceTB/SmolLM2-135M-Instruct"]);
        assert_eq!(near("gpt3", there()), ["gpt2"]);
        assert!(near("meta-llama/Llama-3.1-8B", there()).is_empty());
    }

    #[test]
    fn distances_are_levenshteins() {
        assert_eq!((edits("kitten", "sitting"), edits("", "abc"), edits("abc", "abc")), (3, 3, 0));
    }
}
