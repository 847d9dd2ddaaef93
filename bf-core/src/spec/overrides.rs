//! `models:`, the tiers that the administrator chose for single models.

use std::collections::HashMap;

use super::ModelOverride;
use super::parse::{Entry, Reader, closest};
use super::partitions::RawPartition;
use crate::report::Finding;

/// Reads the overrides and checks that what they name is there.
pub(super) fn read(reader: &Reader, entries: &[Entry], partitions: &[RawPartition]) -> Vec<ModelOverride> {
    let mut lower: HashMap<String, &Entry> = HashMap::new();
    let mut overrides = Vec::new();
    for entry in entries {
        if reader.is_full() {
            break;
        }
        if entry.key.trim().is_empty() || entry.key.contains(char::is_control) {
            let message = format!("`{}` cannot be the name of a model", entry.key);
            reader.note(entry.at.error("invalid_name", message));
            continue;
        }
        if let Some(first) = lower.insert(entry.key.to_lowercase(), entry) {
            let message = format!("`{}` differs only in case from `{}`", entry.key, first.key);
            reader.note(
                entry
                    .at
                    .warning("models_differ_in_case", message)
                    .with_hint("names are matched exactly: keep the one that the model really has"),
            );
        }
        overrides.extend(target(reader, entry, partitions));
    }
    overrides
}

fn target(reader: &Reader, entry: &Entry, partitions: &[RawPartition]) -> Option<ModelOverride> {
    let target = reader.string(&entry.value, &format!("the tier of `{}`", entry.key))?;
    let at = entry.value.at;
    // Tier names may contain dots, as in `gpu.3g.40gb`.
    let Some((partition, tier)) = target.split_once('.') else {
        let finding = at.error("override_without_partition", format!("`{target}` does not name a partition"));
        reader.note(finding.with_hint("write it as `partition.tier`"));
        return None;
    };
    let Some(found) = partitions.iter().find(|raw| raw.name == partition) else {
        // The built-in tiers have no names to point to, and no partitions is an error of its own.
        if !partitions.is_empty() {
            let finding = at.error("unknown_partition", format!("there is no partition `{partition}`"));
            reader.note(suggest(finding, partition, partitions.iter().map(|raw| raw.name.as_str())));
        }
        return None;
    };
    // Without a usable list of tiers, or with nameless ones, nothing can be said.
    let tiers = found.tiers.as_ref()?;
    let names: Vec<&str> = tiers.iter().filter_map(|raw| raw.name.as_deref()).collect();
    if !names.contains(&tier) {
        if names.len() == tiers.len() {
            let finding =
                at.error("unknown_tier", format!("the partition `{partition}` has no tier `{tier}`"));
            reader.note(suggest(finding, tier, names.into_iter()));
        }
        return None;
    }
    Some(ModelOverride { model: entry.key.clone(), partition: partition.to_owned(), tier: tier.to_owned() })
}

fn suggest<'a>(finding: Finding, word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Finding {
    match closest(word, known.clone()) {
        Some(name) => finding.with_hint(format!("did you mean `{name}`?")),
        None => finding.with_hint(format!("there are: {}", known.collect::<Vec<_>>().join(", "))),
    }
}
