//! From the tree of a file to [`ResourceSpecs`], noting everything that is wrong on the way.

use std::path::Path;

use super::parse::{self, MapReader, Node, Reader, Value};
use super::partitions::{self, RawPartition};
use super::{Partition, ResourceSpecs, SpecSource, TimeLimits, check, defaults, overrides};
use crate::report::Finding;

impl ResourceSpecs {
    /// Parses the text of a `resource_specs.yaml`. `path` is only named in the result and the findings.
    ///
    /// Returns the specifications and the warnings.
    ///
    /// # Errors
    /// All findings, errors and warnings, in the order of the file.
    pub fn parse(text: &str, path: &Path) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        parse::parse(text, path, |reader, root| specs(reader, root, path))
    }
}

fn specs(reader: &Reader, root: &Node, path: &Path) -> Option<ResourceSpecs> {
    if root.value == Value::Null {
        reader.note(
            root.at
                .error("empty_file", "the file says nothing")
                .with_hint("give it `partitions:`, or remove it to use the built-in tiers"),
        );
        return None;
    }
    let mut map = reader.map(root, "the file")?;
    let time = time(reader, &mut map);
    let raw: Vec<RawPartition> =
        map.optional_entries("partitions").iter().map(|entry| partitions::read(reader, entry)).collect();
    check::partitions(reader, &map, &raw);
    let models = overrides::read(reader, map.optional_entries("models"), &raw);
    map.finish();

    let alone = raw.len() == 1;
    let partitions = raw.into_iter().map(|raw| finished(raw, alone)).collect::<Option<Vec<_>>>()?;
    Some(ResourceSpecs { time: time?, partitions, models, source: SpecSource::File(path.to_owned()) })
}

fn time(reader: &Reader, map: &mut MapReader<'_, '_>) -> Option<TimeLimits> {
    let Some(entry) = map.optional("time") else {
        return Some(defaults::TIME);
    };
    let mut map = reader.map_of(entry, "`time`")?;
    let (default_given, max_given) = (map.optional("default").is_some(), map.optional("max").is_some());
    let default = map.optional_whole("default", 1..=u32::MAX);
    let max = map.optional_whole("max", 1..=u32::MAX);
    let (default_at, max_at) = (map.at_value("default"), map.at_value("max"));
    map.finish();
    if default_given != default.is_some() || max_given != max.is_some() {
        return None;
    }
    let limits = TimeLimits {
        default_minutes: default.unwrap_or(defaults::TIME.default_minutes),
        max_minutes: max.unwrap_or(defaults::TIME.max_minutes),
    };
    if limits.default_minutes > limits.max_minutes {
        let TimeLimits { default_minutes, max_minutes } = limits;
        let (at, missing) = match (default_given, max_given) {
            (true, true) => (default_at, None),
            (true, false) => (default_at, Some("max")),
            _ => (max_at, Some("default")),
        };
        let message =
            format!("the default time, {default_minutes} minutes, is above the maximum, {max_minutes}");
        let finding = at.error("default_above_max", message);
        reader.note(match missing {
            Some(key) => finding.with_hint(format!("`time` has no `{key}`, so the built-in one counts")),
            None => finding,
        });
        return None;
    }
    Some(limits)
}

fn finished(raw: RawPartition, alone: bool) -> Option<Partition> {
    let default = raw.default.map_or(Some(alone), |default| default.value)?;
    let tiers = raw.tiers?.into_iter().map(|raw| raw.tier).collect::<Option<Vec<_>>>()?;
    Some(Partition { name: Some(raw.name), default, tiers })
}
