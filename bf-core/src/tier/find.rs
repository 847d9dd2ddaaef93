//! Finds what a user names: a partition, a tier, or both as `partition.tier`.

use super::TierError;
use crate::spec::{Partition, ResourceSpecs, SpecSource, Tier};

/// Finds the tier that `--tier NAME` or `--tier partition.tier` means, within `partition` or else the default one.
///
/// A tier of exactly this name is preferred, as tier names may contain dots; then `name` is split at its first dot.
/// Where the found partition has no name (the built-in tiers), the job goes to the partition that the user asked
/// for, or to Slurm's default one.
///
/// # Errors
/// The partition or the tier is not there, or `name` names another partition than `partition`.
pub fn find<'s>(
    specs: &'s ResourceSpecs,
    name: &str,
    partition: Option<&str>,
) -> Result<(&'s Partition, &'s Tier), TierError> {
    let chosen = self::partition(specs, partition)?;
    if let Some(tier) = chosen.tier(name) {
        return Ok((chosen, tier));
    }
    let unknown = |partition: &Partition, name: &str| TierError::UnknownTier {
        name: name.to_owned(),
        partition: partition.label().to_owned(),
        known: partition.tiers.iter().map(|tier| tier.name.clone()).collect(),
        elsewhere: elsewhere(specs, partition, name),
    };
    let Some((named, tier_name)) = name.split_once('.') else {
        return Err(unknown(chosen, name));
    };
    let Some(named) = specs.partitions.iter().find(|candidate| candidate.label() == named) else {
        return Err(unknown(chosen, name));
    };
    let tier = named.tier(tier_name).ok_or_else(|| unknown(named, tier_name))?;
    match partition {
        // The nameless partition is whatever partition the user asks for.
        Some(asked) if named.name.is_some() && named.label() != asked => {
            Err(TierError::OtherPartition { tier: name.to_owned(), asked: asked.to_owned() })
        }
        _ => Ok((named, tier)),
    }
}

/// The partition of that name, or else the default one. The built-in tiers are those of any partition.
pub(super) fn partition<'s>(
    specs: &'s ResourceSpecs,
    name: Option<&str>,
) -> Result<&'s Partition, TierError> {
    let found = match name {
        Some(name) if specs.source != SpecSource::Defaults => specs.partition(name),
        _ => specs.default_partition(),
    };
    found.ok_or_else(|| TierError::UnknownPartition {
        name: name.unwrap_or("default").to_owned(),
        known: specs.partitions.iter().map(|partition| partition.label().to_owned()).collect(),
    })
}

fn elsewhere(specs: &ResourceSpecs, but: &Partition, name: &str) -> Vec<String> {
    let others = specs.partitions.iter().filter(|partition| partition.name != but.name);
    others
        .filter(|partition| partition.tier(name).is_some())
        .map(|partition| format!("{}.{name}", partition.label()))
        .collect()
}
