//! What an engine's definition says (`docs/formats.md`, interface F).

use std::collections::BTreeMap;

use thiserror::Error;

use super::Kind;
use crate::image::Reference;
use crate::report::{Exit, Explain};

/// Whether an engine needs GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuNeed {
    /// It cannot use any.
    None,
    /// It uses those it gets.
    Optional,
    /// It does not run without.
    Required,
}

/// Where the engine can be told to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// At a unix socket, which a folder's mode closes to others.
    Unix,
    /// Only at a TCP port.
    Tcp,
}

/// The container image of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Reference, as `ghcr.io/org/name:tag`; pinned where the definition has a `digest`.
    pub reference: Reference,
    /// Another reference, for GPUs.
    pub gpu_reference: Option<Reference>,
    /// Folders that are added to PATH inside the container.
    pub path: Vec<String>,
}

/// A native engine: a Python package that is installed without a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// Its name in the Python package index.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// SHA-256 of each wheel that may be installed, one for a platform; 64 hex digits.
    pub sha256: Vec<String>,
}

/// A real request that shows whether the model answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Where it is posted to.
    pub path: String,
    /// Its body, a template that gives JSON.
    pub body: String,
}

/// An engine: how it is started, how it is asked, what of it is let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Its name, also of its folder in the cache.
    pub id: String,
    /// What it serves.
    pub kind: Kind,
    /// Formats of models that it loads, as `gguf`.
    pub formats: Vec<String>,
    /// Whether it needs GPUs.
    pub gpu: GpuNeed,
    /// Its container image.
    pub image: Option<Image>,
    /// Its package without a container.
    pub native: Option<Native>,
    /// Where it can listen.
    pub listen: Listen,
    /// Its arguments, the program first, each a template; those that come out empty are dropped. No shell.
    pub command: Vec<String>,
    /// Its environment, values are templates.
    pub env: BTreeMap<String, String>,
    /// Variables that get the key, for engines that ask for one. Values are templates.
    pub secret_env: BTreeMap<String, String>,
    /// More folders that a container must see.
    pub binds: Vec<String>,
    /// Extra files that the engine would fetch at its start.
    pub assets: Vec<String>,
    /// Path that answers 2xx when it is well.
    pub health: String,
    /// The request that must be answered before it counts as ready.
    pub ready: Ready,
    /// `METHOD /path`: what the proxy lets through.
    pub routes: Vec<String>,
    /// Path of its metrics, if it has some.
    pub metrics: Option<String>,
}

/// Why there is no engine.
#[derive(Debug, Error)]
pub enum EngineError {
    /// None has that name.
    #[error("there is no engine {id}")]
    Unknown {
        /// As given.
        id: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// None loads the format.
    #[error("no engine for {kind} loads models in the format {format}")]
    NoFormat {
        /// What was to be served.
        kind: Kind,
        /// The model's format.
        format: String,
        /// Those for this kind, with their formats.
        offered: Vec<String>,
    },
    /// None fits the GPUs.
    #[error("models in the format {format} cannot be served with {gpus} GPUs by {}", engines.join(", "))]
    NoGpu {
        /// The model's format.
        format: String,
        /// GPUs of the tier.
        gpus: u32,
        /// Those that load the format.
        engines: Vec<String>,
    },
    /// Two definitions have the same id.
    #[error("the engine definitions {first} and {second} have the same id, {id}")]
    Twice {
        /// The id.
        id: String,
        /// One file, or its name for a built-in one.
        first: String,
        /// The other.
        second: String,
    },
    /// Its definition is not valid.
    #[error("the engine definition {name} is not valid: {first}")]
    Invalid {
        /// Its file, or its name for a built-in one.
        name: String,
        /// The first finding, with its line.
        first: String,
    },
}

impl Explain for EngineError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "engine_not_found",
            Self::NoFormat { .. } | Self::NoGpu { .. } => "no_engine",
            Self::Twice { .. } | Self::Invalid { .. } => "engine_invalid",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { known, .. } => Some(format!("there are: {}", known.join(", "))),
            Self::NoFormat { offered, .. } if offered.is_empty() => {
                Some("no engine is defined for it yet".into())
            }
            Self::NoFormat { offered, .. } => Some(format!("there are: {}", offered.join(", "))),
            Self::NoGpu { .. } => {
                Some("choose another tier with --tier; `bf-user tier ls` lists them".into())
            }
            Self::Twice { .. } => {
                Some("give one another id; a file replaces the built-in one of the same file name".into())
            }
            Self::Invalid { .. } => Some("docs/formats.md describes engine definitions".into()),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Unknown { .. } | Self::NoFormat { .. } | Self::NoGpu { .. } => Exit::NotFound,
            Self::Twice { .. } | Self::Invalid { .. } => Exit::Invalid,
        }
    }
}
