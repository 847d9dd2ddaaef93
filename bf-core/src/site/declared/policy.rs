//! `policy:` of site.yaml: what users may do.

use std::path::PathBuf;

use super::forms::{ABSOLUTE, SPAN};
use crate::duration;
use crate::shape::{By, Key, Map, Shape, View};
use crate::spec::parse::Reader;

/// What users may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePolicy {
    /// Seconds without a request after which a service stops, where its user says nothing; `None`: never.
    pub idle_timeout: Option<u64>,
    /// The most seconds that a user may ask for; a service without a time gets this one.
    pub max_idle_timeout: Option<u64>,
    /// How many services a user may have at once.
    pub max_services: Option<u32>,
    /// Whether services may run on the machine that they are started on.
    pub allow_local: bool,
    /// Whether an engine may run code that comes with a model.
    pub allow_trust_remote_code: bool,
    /// Folders that users may show to their services.
    pub mounts: Vec<PathBuf>,
}

impl Default for SitePolicy {
    fn default() -> Self {
        Self {
            idle_timeout: None,
            max_idle_timeout: None,
            max_services: None,
            allow_local: true,
            allow_trust_remote_code: false,
            mounts: Vec::new(),
        }
    }
}

pub(super) static MAP: Map = Map::of(
    "`policy`",
    &[
        Key::new(
            "idle_timeout",
            Shape::Format(&SPAN),
            "When a service without requests stops, if its user says nothing",
        )
        .or("`max_idle_timeout`, else never")
        .by(By::User),
        Key::new(
            "max_idle_timeout",
            Shape::Format(&SPAN),
            "The longest `--idle-timeout`; no service is without one then",
        )
        .or("no limit")
        .by(By::User),
        Key::new("max_services", Shape::Whole(1, u32::MAX), "How many services a user may have at once")
            .or("no limit")
            .by(By::User),
        Key::new(
            "allow_local",
            Shape::Bool,
            "Let services run without Slurm on the machine they are started on",
        )
        .or("true")
        .by(By::User),
        Key::new("allow_trust_remote_code", Shape::Bool, "Let engines run code that comes with a model")
            .or("false")
            .by(By::Nobody),
        Key::new(
            "mounts",
            Shape::List(&Shape::Format(&ABSOLUTE)),
            "Folders that users may show to their services",
        )
        .by(By::Nobody),
    ],
);

pub(super) fn read(reader: &Reader, view: View<'_>) -> SitePolicy {
    let seconds = |key: &str| duration::some_seconds(&view.text(key)?).ok();
    let (idle_timeout, max_idle_timeout) = (seconds("idle_timeout"), seconds("max_idle_timeout"));
    if let (Some(default), Some(max)) = (idle_timeout, max_idle_timeout)
        && default > max
    {
        let message = "`idle_timeout` is above `max_idle_timeout`";
        reader.note(view.at("idle_timeout").error("default_above_max", message));
    }
    let default = SitePolicy::default();
    SitePolicy {
        idle_timeout,
        max_idle_timeout,
        max_services: view.whole("max_services"),
        allow_local: view.bool("allow_local").unwrap_or(default.allow_local),
        allow_trust_remote_code: view
            .bool("allow_trust_remote_code")
            .unwrap_or(default.allow_trust_remote_code),
        mounts: view.texts("mounts").into_iter().map(PathBuf::from).collect(),
    }
}
