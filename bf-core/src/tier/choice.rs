//! The result of a recommendation.

use serde::Serialize;

/// A partition and tier, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The partition; `None` leaves it to Slurm's default, as the built-in tiers know no partitions.
    pub partition: Option<String>,
    /// The tier's name; `None` when the user has to choose.
    pub tier: Option<String>,
    /// Which rule decided.
    pub source: Source,
    /// The same in words, without a full stop.
    pub reason: String,
}

/// The rule that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The administrator chose the tier for this model.
    ModelOverride,
    /// The smallest tier whose limit exceeds the model's size.
    SizeMatch,
    /// The tier without a limit.
    CatchAll,
    /// The model is too large for every tier of the partition.
    NoMatch,
    /// The model's size is not known.
    UnknownSize,
}
