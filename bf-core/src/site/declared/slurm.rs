//! `slurm:` of site.yaml: how jobs ask for what they need.

use serde::{Deserialize, Serialize};

use super::forms::CLUSTER;
use crate::shape::{By, Fault, Format, Key, Map, Shape, View};
use crate::slurm::Directive;
use crate::spec::parse::{Reader, Value};

/// How jobs are submitted on this site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlurmRules {
    /// How GPUs are asked for.
    pub gpu_request: GpuRequest,
    /// How memory is asked for.
    pub memory: MemoryRequest,
    /// Options that every job gets, unless its user asks for the same otherwise.
    pub directives: Vec<Directive>,
    /// Whether a job must name the account that is charged.
    pub account_required: bool,
    /// The clusters of a federation.
    pub clusters: Vec<String>,
}

/// How Slurm is asked for GPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GpuRequest {
    /// `--gres=gpu:N`
    #[default]
    Gres,
    /// `--gpus-per-node=N`: a service runs on one node.
    Gpus,
}

/// How Slurm is asked for memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryRequest {
    /// `--mem`
    #[default]
    Mem,
    /// `--mem-per-gpu`; `--mem` for a job without GPUs.
    MemPerGpu,
    /// Not at all: the site gives memory by cores or GPUs.
    None,
}

/// What bf-user sets itself for each job: a second one would break the service, or contradict its tier.
const OWN: [&str; 30] = [
    "array",
    "batch",
    "chdir",
    "comment",
    "cpus-per-gpu",
    "cpus-per-task",
    "dependency",
    "error",
    "gid",
    "gpus",
    "gpus-per-node",
    "gpus-per-task",
    "gres",
    "input",
    "job-name",
    "mem",
    "mem-per-cpu",
    "mem-per-gpu",
    "no-requeue",
    "nodes",
    "ntasks",
    "ntasks-per-node",
    "open-mode",
    "output",
    "partition",
    "parsable",
    "requeue",
    "time",
    "uid",
    "wrap",
];

static DIRECTIVE: Format = Format {
    is: "an option of sbatch",
    examples: &["--exclusive", "--nice=100"],
    is_number: false,
    check: |what, text| directive(what, text),
};

fn directive(what: &str, text: &str) -> Result<(), Fault> {
    let directive = Directive::parse(text).map_err(|error| {
        Fault::new("invalid_directive", format!("{what} is no option of sbatch: {error}")).with_hint(
            match text.split_once(char::is_whitespace) {
                Some((name, value)) if name.starts_with("--") && !name.contains('=') => {
                    format!("write `{name}={}`", value.trim().trim_start_matches('=').trim())
                }
                _ => "write it as --name or --name=value".into(),
            },
        )
    })?;
    if OWN.contains(&directive.name()) {
        let message = format!("`--{}` is set by bf-user itself", directive.name());
        return Err(Fault::new("reserved_directive", message)
            .with_hint("what a job asks for is in resource_specs.yaml, and how in `slurm`"));
    }
    Ok(())
}

pub(super) static MAP: Map = Map::of(
    "`slurm`",
    &[
        Key::new(
            "gpu_request",
            Shape::Choice(&["gres", "gpus"]),
            "How GPUs are asked for: `--gres=gpu:N`, or `--gpus-per-node=N`",
        )
        .or("gres")
        .by(By::User),
        Key::new(
            "memory",
            Shape::Choice(&["mem", "mem-per-gpu", "none"]),
            "How memory is asked for: `--mem`, `--mem-per-gpu`, or not at all",
        )
        .or("mem")
        .by(By::User),
        Key::new(
            "directives",
            Shape::List(&Shape::Format(&DIRECTIVE)),
            "Options that every job gets, unless its user gives the same one",
        )
        .by(By::User),
        Key::new("account_required", Shape::Bool, "Refuse jobs without `--account`").or("false").by(By::User),
        Key::new("clusters", Shape::List(&Shape::Format(&CLUSTER)), "The clusters of a federation")
            .by(By::Nobody),
    ],
);

pub(super) fn read(reader: &Reader, view: View<'_>) -> SlurmRules {
    let mut directives: Vec<Directive> = Vec::new();
    for node in view.list("directives") {
        let Value::Text(text) = &node.value else { continue };
        let Ok(directive) = Directive::parse(text.trim()) else { continue };
        if directives.iter().any(|other| other.name() == directive.name()) {
            let message = format!("`--{}` is given twice", directive.name());
            reader.note(node.at.error("duplicate_directive", message).with_hint("keep one of the two"));
        }
        directives.push(directive);
    }
    SlurmRules {
        gpu_request: match view.text("gpu_request").as_deref() {
            Some("gpus") => GpuRequest::Gpus,
            _ => GpuRequest::Gres,
        },
        memory: match view.text("memory").as_deref() {
            Some("mem-per-gpu") => MemoryRequest::MemPerGpu,
            Some("none") => MemoryRequest::None,
            _ => MemoryRequest::Mem,
        },
        directives,
        account_required: view.bool("account_required").unwrap_or(false),
        clusters: view.texts("clusters"),
    }
}
