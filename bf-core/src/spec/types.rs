//! What a valid `resource_specs.yaml` says.

use std::path::PathBuf;

use serde::Serialize;

/// The resource specifications of a site: always valid, as only the parser and the defaults make them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourceSpecs {
    /// How long services may run.
    pub time: TimeLimits,
    /// In file order; at least one, exactly one of them the default.
    pub partitions: Vec<Partition>,
    /// Tiers chosen by the administrator for single models, in file order.
    pub models: Vec<ModelOverride>,
    /// Where all this comes from.
    pub source: SpecSource,
}

/// The run time that is offered, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TimeLimits {
    /// What a user gets who does not ask, in minutes.
    pub default_minutes: u32,
    /// The longest a user may ask for, in minutes; at least the default.
    pub max_minutes: u32,
}

/// A Slurm partition and its tiers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Partition {
    /// Slurm's name of it. `None` only in the built-in specifications, which know no cluster: the job is then
    /// submitted without a partition, and Slurm's default one is used.
    pub name: Option<String>,
    /// Whether it is used when the user names none.
    pub default: bool,
    /// In file order, names unique; at least one.
    pub tiers: Vec<Tier>,
}

/// A bundle of resources.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tier {
    /// Display name; may contain dots and blanks.
    pub name: String,
    /// For users; may be empty.
    pub description: String,
    /// Models below this size fit, in GB of 10^9 bytes; `None` is no limit.
    pub max_model_size_gb: Option<f64>,
    /// GPUs to request.
    pub gpu_count: u32,
    /// A label for people, never sent to Slurm.
    pub gpu_type: Option<String>,
    /// CPU cores to request, at least 1.
    pub cpu_cores: u32,
    /// Memory to request, in Slurm's G, at least 1.
    pub memory_gb: u32,
    /// Further options for Slurm.
    pub slurm: SlurmExtras,
}

/// Options of a tier that go to Slurm as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SlurmExtras {
    /// The value of `--constraint`.
    pub constraint: Option<String>,
    /// A `--gres` specification as written; see [`Tier::gres`] for what is sent.
    pub gres: Option<String>,
}

/// The tier that the administrator chose for a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelOverride {
    /// The model's name, matched exactly.
    pub model: String,
    /// The partition, one of [`ResourceSpecs::partitions`].
    pub partition: String,
    /// The tier in that partition.
    pub tier: String,
}

/// Where specifications come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpecSource {
    /// A file.
    File(#[serde(serialize_with = "crate::report::lossy::path")] PathBuf),
    /// The built-in tiers, as there is no file.
    Defaults,
}

impl ResourceSpecs {
    /// The partition that is used when the user names none.
    pub fn default_partition(&self) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.default).or(self.partitions.first())
    }

    /// The partition of that name.
    pub fn partition(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.name.as_deref() == Some(name))
    }
}

impl Partition {
    /// Its name for people; that of the nameless one is `default`.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or("default")
    }

    /// The tier of that name.
    pub fn tier(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.name == name)
    }
}

impl Tier {
    /// The value for `--gres`, where the administrator gave one, with the number of GPUs filled in.
    pub fn gres(&self) -> Option<String> {
        self.slurm.gres.as_deref().map(|gres| super::complete_gres(gres, self.gpu_count))
    }
}
