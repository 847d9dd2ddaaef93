//! `scontrol show partition`: what parts the cluster has.

use super::queue::said;
use super::{SlurmError, time};

/// Whether a partition takes jobs and runs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionState {
    /// Takes jobs and runs them.
    Up,
    /// Takes jobs and does not begin them.
    Down,
    /// Takes no jobs, and finishes those it has.
    Drain,
    /// Takes no jobs and begins none.
    Inactive,
    /// A state that this version does not know.
    Unknown,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Its name.
    pub name: String,
    /// Whether jobs that name none go here.
    pub is_default: bool,
    /// Whether it takes jobs.
    pub state: PartitionState,
    /// The longest time a job may ask for, in minutes; `None`: as long as it likes.
    pub max_time: Option<u64>,
    /// The time of a job that does not ask, in minutes; `None`: the longest.
    pub default_time: Option<u64>,
    /// Its nodes, as Slurm writes them (`node[1-2]`).
    pub nodes: Option<String>,
    /// How many nodes it has.
    pub node_count: u64,
}

/// Reads one partition for each line. All of it is the administrators' text, and no value holds a blank.
pub(super) fn read(output: &str) -> Result<Vec<PartitionFacts>, SlurmError> {
    let partition = |line: &str| partition(line).ok_or_else(|| SlurmError::unparsable("scontrol", line));
    let lines = output.lines().filter(|line| line.contains("PartitionName="));
    lines.map(partition).collect()
}

fn partition(line: &str) -> Option<PartitionFacts> {
    let pairs: Vec<(&str, &str)> = line.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
    let get = |key: &str| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let minutes = |key: &str| get(key).and_then(time::seconds).map(|seconds| seconds / 60);
    Some(PartitionFacts {
        name: get("PartitionName").filter(|name| !name.is_empty())?.to_owned(),
        is_default: get("Default") == Some("YES"),
        state: match get("State")? {
            "UP" => PartitionState::Up,
            "DOWN" => PartitionState::Down,
            "DRAIN" => PartitionState::Drain,
            "INACTIVE" => PartitionState::Inactive,
            _ => PartitionState::Unknown,
        },
        max_time: minutes("MaxTime"),
        default_time: minutes("DefaultTime"),
        nodes: get("Nodes").and_then(said),
        node_count: get("TotalNodes").and_then(|count| count.parse().ok()).unwrap_or_default(),
    })
}
