//! The recommendation: override, size match, catch-all, or nothing, in this order.

use super::{Choice, Source, TierError, find};
use crate::spec::{Partition, ResourceSpecs, SpecSource, Tier};

/// Recommends a tier for a model.
///
/// 1. A model that the administrator lists gets the tier named there, unless `partition` asks for another partition.
/// 2. Else the smallest tier of the partition whose limit exceeds the size, whatever the order of the file.
/// 3. Else the tier without a limit.
/// 4. Else none, and the reason says how to go on.
///
/// `size_gb` is the size of the weights that the engine will load, in GB of 10^9 bytes. An unknown size is `None` and
/// gets no tier: taking it for 0 would put the largest models on the smallest tier.
///
/// # Errors
/// The partition is not in the specifications, or the size is negative, infinite or not a number.
pub fn recommend(
    specs: &ResourceSpecs,
    model: Option<&str>,
    size_gb: Option<f64>,
    partition: Option<&str>,
) -> Result<Choice, TierError> {
    if let Some(size_gb) = size_gb.filter(|size| !size.is_finite() || *size < 0.0) {
        return Err(TierError::InvalidSize { size_gb });
    }
    let chosen = find::partition(specs, partition)?;
    let mut notes = Vec::new();
    if let Some(listed) = specs.models.iter().find(|listed| Some(listed.model.as_str()) == model) {
        let target = format!("`{}.{}`", listed.partition, listed.tier);
        if partition.is_some_and(|asked| asked != listed.partition) {
            notes.push(format!(
                "the tier chosen for this model, {target}, is not used as `{}` was asked for",
                chosen.label()
            ));
        } else if specs.partition(&listed.partition).and_then(|p| p.tier(&listed.tier)).is_none() {
            notes.push(format!("the tier chosen for this model, {target}, does not exist"));
        } else {
            return Ok(Choice {
                partition: Some(listed.partition.clone()),
                tier: Some(listed.tier.clone()),
                source: Source::ModelOverride,
                reason: format!("the administrator chose {target} for `{}`", listed.model),
            });
        }
    }
    if specs.source == SpecSource::Defaults {
        notes.push("the built-in tiers are used, as there is no `resource_specs.yaml`".into());
    }
    let (tier, source, reason) = by_size(chosen, size_gb);
    notes.insert(0, reason);
    Ok(Choice {
        partition: chosen.name.clone().or_else(|| nameless(chosen, partition)),
        tier: tier.map(|tier| tier.name.clone()),
        source,
        reason: notes.join("; "),
    })
}

/// The built-in tiers go to whatever partition the user asks for; their own label is not one that Slurm knows.
fn nameless(chosen: &Partition, asked: Option<&str>) -> Option<String> {
    asked.filter(|asked| *asked != chosen.label()).map(str::to_owned)
}

/// A size for eyes: two decimals at most.
fn shown(gb: f64) -> String {
    if gb > 0.0 && gb < 0.01 {
        return "less than 0.01".into();
    }
    if gb >= 1e6 {
        return format!("{gb:.1e}");
    }
    let text = format!("{:.2}", gb.abs()); // -0 is 0
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn by_size(partition: &Partition, size_gb: Option<f64>) -> (Option<&Tier>, Source, String) {
    let label = partition.label();
    let Some(size) = size_gb else {
        let reason = "the model's size is not known: choose with `--tier`, or give the size with `--size-gb`";
        return (None, Source::UnknownSize, reason.into());
    };
    let shown = shown(size);
    let limited = || partition.tiers.iter().filter_map(|tier| Some((tier.max_model_size_gb?, tier)));
    let fitting = limited().filter(|(limit, _)| *limit > size).min_by(|(a, _), (b, _)| a.total_cmp(b));
    if let Some((limit, tier)) = fitting {
        let reason = format!(
            "{shown} GB is below {limit} GB, the limit of `{}`, the smallest tier of `{label}` that fits",
            tier.name
        );
        return (Some(tier), Source::SizeMatch, reason);
    }
    if let Some(tier) = partition.tiers.iter().find(|tier| tier.max_model_size_gb.is_none()) {
        let reason = format!("no limit in `{label}` exceeds {shown} GB, and `{}` has none", tier.name);
        return (Some(tier), Source::CatchAll, reason);
    }
    let largest = limited().map(|(limit, _)| limit).fold(0.0, f64::max);
    let reason = format!(
        "{shown} GB is too large for every tier of `{label}`, the largest takes less than {largest} GB: choose with `--tier` or `--partition`"
    );
    (None, Source::NoMatch, reason)
}
