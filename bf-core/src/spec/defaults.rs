//! The built-in tiers for a site that has no `resource_specs.yaml`.

use super::{Partition, ResourceSpecs, SlurmExtras, SpecSource, Tier, TimeLimits};

/// The time limits where the file names none, in minutes.
pub(super) const TIME: TimeLimits = TimeLimits { default_minutes: 30, max_minutes: 180 };

impl ResourceSpecs {
    /// The four tiers of a site without a file, in one nameless partition: Slurm's default one is then used.
    ///
    /// The numbers are those of the Blackfish server, so that nothing changes for a site that never had a file.
    pub fn defaults() -> Self {
        let tiers = vec![
            tier("CPU Only", "No GPU, for testing and small models (up to 1 GB)", Some(1.0), [0, 2, 4]),
            tier("Small", "One GPU, for models up to 32 GB", Some(32.0), [1, 4, 8]),
            tier("Medium", "Two GPUs, for models up to 128 GB", Some(128.0), [2, 6, 16]),
            tier("Large", "Four GPUs, for models of any size", None, [4, 8, 32]),
        ];
        Self {
            time: TIME,
            partitions: vec![Partition { name: None, default: true, tiers }],
            models: Vec::new(),
            source: SpecSource::Defaults,
        }
    }
}

/// `resources`: GPUs, CPU cores, memory in GB.
fn tier(name: &str, description: &str, max_model_size_gb: Option<f64>, resources: [u32; 3]) -> Tier {
    let [gpu_count, cpu_cores, memory_gb] = resources;
    Tier {
        name: name.into(),
        description: description.into(),
        max_model_size_gb,
        gpu_count,
        gpu_type: None,
        cpu_cores,
        memory_gb,
        slurm: SlurmExtras::default(),
    }
}
