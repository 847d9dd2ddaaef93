//! What can be wrong with a request for a tier.

use crate::report::{Exit, Explain};
use crate::spec::parse::closest;

/// A request that cannot be answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TierError {
    /// The partition is not in the specifications.
    #[error("there is no partition `{name}`")]
    UnknownPartition {
        /// The name asked for.
        name: String,
        /// The partitions there are.
        known: Vec<String>,
    },
    /// The tier is not in the partition.
    #[error("the partition `{partition}` has no tier `{name}`")]
    UnknownTier {
        /// The name asked for.
        name: String,
        /// The partition that was searched.
        partition: String,
        /// What could be written instead: the partition's tiers.
        known: Vec<String>,
        /// The same name in other partitions, as `partition.tier`.
        elsewhere: Vec<String>,
    },
    /// `partition.tier` names another partition than the one asked for.
    #[error("the tier `{tier}` is not in the partition `{asked}`")]
    OtherPartition {
        /// The tier asked for, as `partition.tier`.
        tier: String,
        /// The partition asked for.
        asked: String,
    },
    /// The size is not one that a model can have.
    #[error("{size_gb} GB is not the size of a model")]
    InvalidSize {
        /// The size asked for, in GB.
        size_gb: f64,
    },
}

impl Explain for TierError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownPartition { .. } => "partition_not_found",
            Self::UnknownTier { .. } => "tier_not_found",
            Self::OtherPartition { .. } => "tier_in_other_partition",
            Self::InvalidSize { .. } => "invalid_size",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownTier { elsewhere, .. } if !elsewhere.is_empty() => {
                format!("another partition has it: write `{}`", elsewhere.join("` or `"))
            }
            Self::UnknownPartition { name, known } | Self::UnknownTier { name, known, .. } => {
                suggest(name, known)
            }
            Self::OtherPartition { .. } => "name the partition only once".into(),
            Self::InvalidSize { .. } => "give the size of the weights in GB, a number from 0 up".into(),
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::UnknownPartition { .. } | Self::UnknownTier { .. } => Exit::NotFound,
            Self::OtherPartition { .. } | Self::InvalidSize { .. } => Exit::Usage,
        }
    }
}

fn suggest(word: &str, known: &[String]) -> String {
    let list = known.join(", ");
    match closest(word, known.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{name}`? There are: {list}"),
        None => format!("there are: {list}"),
    }
}
