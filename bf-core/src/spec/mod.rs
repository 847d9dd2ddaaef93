//! The resource specifications of a site, `resource_specs.yaml`: which partitions there are and which tiers, bundles
//! of GPUs, cores and memory, they offer.
//!
//! [`ResourceSpecs::load`] reads the file or, where there is none, gives the built-in tiers. A faulty file is an
//! error with all findings and their places, never the built-in tiers.

mod check;
mod convert;
mod defaults;
#[cfg(test)]
pub(crate) mod fixtures;
mod gres;
mod load;
mod overrides;
pub mod parse;
mod partitions;
mod shape;
pub mod snippet;
#[cfg(test)]
mod tests;
mod types;

pub use gres::complete_gres;
pub use load::Loaded;
pub use parse::ConfigError;
pub use types::{ModelOverride, Partition, ResourceSpecs, SlurmExtras, SpecSource, Tier, TimeLimits};
