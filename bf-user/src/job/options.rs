//! What the site and the user want for a job, as `job.json` has it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bf_core::site::{GpuFlag, MemoryRequest, Ports};
use serde::{Deserialize, Serialize};

/// Options of Slurm that are no amounts, as they are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SlurmOptions {
    pub(crate) partition: Option<String>,
    pub(crate) constraint: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) qos: Option<String>,
    pub(crate) reservation: Option<String>,
    /// GPUs as Slurm is asked for them, as `gpu:a100:2`.
    pub(crate) gres: Option<String>,
    /// The GPUs of a site that asks for them so, as `a100:2`.
    pub(crate) gpus_per_node: Option<String>,
    /// How memory is asked for.
    pub(crate) memory: MemoryRequest,
    /// Options of the site, as `--name=value`.
    pub(crate) directives: Vec<String>,
    /// Environment modules that the job script loads.
    pub(crate) modules: Vec<String>,
}

/// How the site runs containers, and what every engine of it gets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Runtime {
    /// Apptainer; `None`: the one in PATH.
    pub(crate) apptainer: Option<PathBuf>,
    /// How a container gets GPUs.
    pub(crate) gpu_flag: GpuFlag,
    /// More that it sees, as `SOURCE[:TARGET[:ro]]`.
    pub(crate) binds: Vec<String>,
    /// Variables of the engine, which those of its definition come before.
    pub(crate) env: BTreeMap<String, String>,
}

/// Where the supervisor listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Network {
    /// Address to listen at.
    pub(crate) address: String,
    /// Port; 0 takes any free one.
    pub(crate) port: u16,
    /// Where a free one is looked for; `None`: anywhere.
    #[serde(default)]
    pub(crate) ports: Option<Ports>,
    /// The network interface whose address is published first.
    #[serde(default)]
    pub(crate) interface: Option<String>,
}
