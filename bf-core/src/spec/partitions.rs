//! Reads partitions and their tiers, as far as they can be read: later checks need also the readable half of a faulty one.

use super::parse::{Entry, MapReader, Node, Position, Reader, Value};
use super::{SlurmExtras, Tier, check, gres};
use crate::slurm::Directive;

/// A partition as far as it could be read.
pub(super) struct RawPartition {
    pub(super) name: String,
    /// Its key.
    pub(super) at: Position,
    /// The value of `default`: `None` when absent.
    pub(super) default: Option<DefaultKey>,
    /// `None` when there is no usable list.
    pub(super) tiers: Option<Vec<RawTier>>,
}

/// The key `default` of a partition.
pub(super) struct DefaultKey {
    /// `None` when it is not a boolean.
    pub(super) value: Option<bool>,
    pub(super) at: Position,
}

/// A tier as far as it could be read.
pub(super) struct RawTier {
    pub(super) name: Option<String>,
    pub(super) name_at: Position,
    pub(super) limit: Option<Limit>,
    pub(super) limit_at: Position,
    /// When all of it could be read.
    pub(super) tier: Option<Tier>,
}

/// `max_model_size_gb`.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    Below(f64),
    None,
}

impl Limit {
    pub(super) fn gb(self) -> Option<f64> {
        match self {
            Self::Below(gb) => Some(gb),
            Self::None => None,
        }
    }
}

/// Reads a partition and its tiers.
pub(super) fn read(reader: &Reader, entry: &Entry) -> RawPartition {
    check::partition_name(reader, entry);
    let raw = |default, tiers| RawPartition { name: entry.key.clone(), at: entry.at, default, tiers };
    let Some(mut map) = reader.map_of(entry, &format!("the partition `{}`", entry.key.escape_debug())) else {
        return raw(None, None);
    };
    let default = map
        .optional("default")
        .map(|entry| DefaultKey { value: reader.boolean(&entry.value, "`default`"), at: entry.value.at });
    let tiers = map.required_list("tiers").map(|items| {
        if items.is_empty() {
            let name = &entry.key;
            reader.note(
                map.at_value("tiers").error("no_tiers", format!("the partition `{name}` has no tiers")),
            );
        }
        items.iter().map(|item| tier(reader, item)).collect()
    });
    map.finish();
    raw(default, tiers)
}

fn tier(reader: &Reader, node: &Node) -> RawTier {
    let what = called(node);
    let Some(mut map) = reader.map(node, &what) else {
        return RawTier { name: None, name_at: node.at, limit: None, limit_at: node.at, tier: None };
    };
    let name = map.required_string("name");
    let description = map.required_text("description");
    let limit = limit(reader, &mut map, &what);
    let gpu_count = map.required_whole("gpu_count", 0..=u32::MAX);
    let gpu_type = map.optional_string("gpu_type");
    let cpu_cores = map.required_whole("cpu_cores", 1..=u32::MAX);
    let memory_gb = map.required_whole("memory_gb", 1..=u32::MAX);
    let slurm = slurm(reader, &mut map);
    gres::check(reader, &slurm, gpu_count, gpu_type.as_deref());
    let (name_at, limit_at) = (map.at_value("name"), map.at_value("max_model_size_gb"));
    map.finish();

    let tier = (|| {
        Some(Tier {
            name: name.clone()?,
            description: description?,
            max_model_size_gb: limit?.gb(),
            gpu_count: gpu_count?,
            gpu_type,
            cpu_cores: cpu_cores?,
            memory_gb: memory_gb?,
            slurm: slurm.extras,
        })
    })();
    RawTier { name, name_at, limit, limit_at, tier }
}

/// How messages name a tier, which may have no usable name.
fn called(node: &Node) -> String {
    if let Value::Map(entries) = &node.value
        && let Some(Value::Text(name)) = entries.iter().find(|e| e.key == "name").map(|e| &e.value.value)
        && !name.is_empty()
    {
        return format!("the tier `{}`", name.escape_debug());
    }
    "a tier".into()
}

/// `max_model_size_gb` must be written even where there is no limit: forgetting it would make a catch-all.
fn limit(reader: &Reader, map: &mut MapReader<'_, '_>, what: &str) -> Option<Limit> {
    let key = "max_model_size_gb";
    match map.optional(key) {
        Some(entry) => reader.positive(&entry.value, &format!("`{key}`")).map(Limit::Below),
        None if map.find(key).is_some() => Some(Limit::None),
        None => {
            reader.note(
                map.at()
                    .error("missing_key", format!("{what} has no `{key}`"))
                    .with_hint("write `null` for a tier without a limit"),
            );
            None
        }
    }
}

/// The section `slurm` of a tier.
pub(super) struct RawSlurm {
    pub(super) extras: SlurmExtras,
    /// Where `gres` is, or the section, or the tier.
    pub(super) gres_at: Position,
}

fn slurm(reader: &Reader, map: &mut MapReader<'_, '_>) -> RawSlurm {
    let Some(mut slurm) = map.optional_map("slurm") else {
        return RawSlurm { extras: SlurmExtras::default(), gres_at: map.at() };
    };
    let extras =
        SlurmExtras { constraint: slurm.optional_string("constraint"), gres: slurm.optional_string("gres") };
    let gres_at = slurm.at_value("gres");
    if let Some(constraint) = &extras.constraint
        && let Err(error) = Directive::new("constraint", constraint)
    {
        let finding = slurm.at_value("constraint").error("invalid_constraint", error.to_string());
        reader.note(
            finding.with_hint("write it as Slurm does, without blanks: `a100&nvlink`, `[rack1|rack2]`"),
        );
    }
    slurm.finish();
    RawSlurm { extras, gres_at }
}
