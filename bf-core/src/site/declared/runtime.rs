//! `runtime:` of site.yaml: how containers are run on this site.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::forms::{ABSOLUTE, BIND, MODULE, PROXY, VARIABLE};
use crate::shape::{By, Key, Map, Shape, View};
use crate::spec::parse::{Reader, Value};

/// How containers are run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeRules {
    /// Apptainer; `None`: the one in PATH.
    pub apptainer: Option<PathBuf>,
    /// Environment modules that a job of Slurm loads first.
    pub modules: Vec<String>,
    /// How a container gets the node's GPUs.
    pub gpu_flag: GpuFlag,
    /// More that containers see, as `SOURCE[:TARGET[:ro]]`.
    pub binds: Vec<String>,
    /// Variables that every engine gets.
    pub env: BTreeMap<String, String>,
    /// The proxy to the outside.
    pub proxy: Option<String>,
}

/// How a container gets the node's GPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuFlag {
    /// `--nv`
    #[default]
    Nv,
    /// `--rocm`
    Rocm,
    /// Without an option of its own, where the site's configuration of Apptainer does it.
    None,
}

impl GpuFlag {
    /// The option.
    pub fn option(self) -> Option<&'static str> {
        match self {
            Self::Nv => Some("--nv"),
            Self::Rocm => Some("--rocm"),
            Self::None => None,
        }
    }
}

pub(super) static MAP: Map = Map::of(
    "`runtime`",
    &[
        Key::new("apptainer", Shape::Format(&ABSOLUTE), "Apptainer on the nodes")
            .or("the first in PATH")
            .by(By::User),
        Key::new(
            "modules",
            Shape::List(&Shape::Format(&MODULE)),
            "Environment modules that a job of Slurm loads before anything else",
        )
        .by(By::User),
        Key::new(
            "gpu_flag",
            Shape::Choice(&["nv", "rocm", "none"]),
            "How a container gets the GPUs: `--nv`, `--rocm`, or by no option",
        )
        .or("nv")
        .by(By::User),
        Key::new("binds", Shape::List(&Shape::Format(&BIND)), "More folders that containers see")
            .by(By::User),
        Key::new(
            "env",
            Shape::Named(&VARIABLE, &Shape::Text),
            "Variables that every engine gets; those of its definition come first",
        )
        .by(By::User),
        Key::new("proxy", Shape::Format(&PROXY), "The proxy that leads out of the cluster").by(By::Nobody),
    ],
);

pub(super) fn read(reader: &Reader, view: View<'_>) -> RuntimeRules {
    let mut binds: Vec<String> = Vec::new();
    for node in view.list("binds") {
        let Value::Text(text) = &node.value else { continue };
        let text = text.trim();
        let target = |bind: &str| {
            let mut parts = bind.split(':');
            let source = parts.next().unwrap_or_default();
            parts.next().unwrap_or(source).trim_end_matches('/').to_owned()
        };
        if binds.iter().any(|other| target(other) == target(text)) {
            let message = format!("containers would see two things at `{}`", target(text));
            reader.note(node.at.error("duplicate_bind", message).with_hint("keep one of the two"));
        }
        binds.push(text.to_owned());
    }
    let env = view.map("env");
    let value = |name: &str| Some((name.to_owned(), env.text(name)?));
    RuntimeRules {
        apptainer: view.text("apptainer").map(PathBuf::from),
        modules: view.texts("modules"),
        gpu_flag: match view.text("gpu_flag").as_deref() {
            Some("rocm") => GpuFlag::Rocm,
            Some("none") => GpuFlag::None,
            _ => GpuFlag::Nv,
        },
        binds,
        env: env.entries().iter().filter_map(|entry| value(&entry.key)).collect(),
        proxy: view.text("proxy"),
    }
}
