//! Checks that look at more than one value: between tiers and between partitions.

use std::collections::HashMap;

use super::parse::{Entry, MapReader, Reader};
use super::partitions::{Limit, RawPartition, RawTier};

/// A partition's name as Slurm and the model overrides need it.
pub(super) fn partition_name(reader: &Reader, entry: &Entry) {
    let shown = &entry.key;
    if entry.key.is_empty() || entry.key.contains(|c: char| c.is_whitespace() || c.is_control()) {
        reader.note(entry.at.error("invalid_name", format!("`{shown}` cannot be the name of a partition")));
    } else if entry.key.contains('.') {
        reader.note(
            entry
                .at
                .warning("dotted_partition", format!("no model override can name the partition `{shown}`"))
                .with_hint("overrides take what is before the first dot as the partition"),
        );
    }
}

/// All partitions: that there are some, that one is the default, and the tiers of each.
pub(super) fn partitions(reader: &Reader, file: &MapReader<'_, '_>, partitions: &[RawPartition]) {
    let entry = file.find("partitions");
    let at = entry.map_or(file.at(), |entry| entry.at);
    if partitions.is_empty() {
        // A value of the wrong type is already noted.
        if entry.is_none_or(|entry| entry.value.is_empty()) {
            reader.note(
                at.error("no_partitions", "there are no partitions")
                    .with_hint("give at least one partition with its tiers below `partitions:`"),
            );
        }
        return;
    }
    let mut first_default: Option<&RawPartition> = None;
    for partition in partitions {
        if let Some(default) = partition.default.as_ref().filter(|default| default.value == Some(true)) {
            match first_default {
                None => first_default = Some(partition),
                Some(first) => reader.note(
                    default
                        .at
                        .error(
                            "several_defaults",
                            format!(
                                "`{}` is the default partition already, on line {}",
                                first.name, first.at.line
                            ),
                        )
                        .with_hint("write `default: false` for all partitions but one"),
                ),
            }
        }
        tiers(reader, partition);
    }
    let unclear = |p: &RawPartition| p.default.as_ref().is_some_and(|default| default.value.is_none());
    let alone = partitions.len() == 1 && partitions[0].default.is_none();
    if first_default.is_none() && !alone && !partitions.iter().any(unclear) {
        reader.note(
            at.error("no_default", "no partition is the default one")
                .with_hint("write `default: true` for one of them"),
        );
    }
}

/// The tiers of one partition: distinct names, distinct limits, one without a limit.
fn tiers(reader: &Reader, partition: &RawPartition) {
    let Some(tiers) = &partition.tiers else { return };
    let mut names: HashMap<&str, &RawTier> = HashMap::new();
    let mut limits: HashMap<Option<u64>, &RawTier> = HashMap::new();
    for tier in tiers {
        if let Some(name) = &tier.name {
            if let Some(first) = names.get(name.as_str()) {
                let message = format!("the tier `{name}` is already on line {}", first.name_at.line);
                reader.note(
                    tier.name_at
                        .error("duplicate_tier", message)
                        .with_hint("give each tier of a partition a name of its own"),
                );
            } else {
                names.insert(name, tier);
            }
        }
        let Some(limit) = tier.limit.map(Limit::gb) else { continue };
        // Limits are finite and above zero, so equal bits are equal numbers.
        if let Some(first) = limits.get(&limit.map(f64::to_bits)) {
            let line = first.limit_at.line;
            reader.note(match limit {
                None => tier
                    .limit_at
                    .error("several_catch_alls", format!("the tier on line {line} has no limit already"))
                    .with_hint("only one tier of a partition may have `max_model_size_gb: null`"),
                Some(limit) => tier
                    .limit_at
                    .error(
                        "duplicate_limit",
                        format!("the tier on line {line} has the limit {limit} already"),
                    )
                    .with_hint("which of the two is chosen would be chance: give them different limits"),
            });
        } else {
            limits.insert(limit.map(f64::to_bits), tier);
        }
    }
    let all_readable = tiers.iter().all(|tier| tier.limit.is_some());
    if all_readable && !tiers.is_empty() && !limits.contains_key(&None) {
        let message = format!("the partition `{}` has no tier for models above its limits", partition.name);
        reader.note(
            partition
                .at
                .warning("no_catch_all", message)
                .with_hint("give its largest tier `max_model_size_gb: null` if it takes models of any size"),
        );
    }
}
