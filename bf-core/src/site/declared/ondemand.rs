//! `ondemand:` of site.yaml: the app of Open OnDemand.

use std::path::{Path, PathBuf};

use super::forms::{CLUSTER, PATH, name};
use crate::shape::{Format, Key, Map, Shape, View};

/// The app of Open OnDemand that the site must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredOnDemand {
    /// Where Open OnDemand looks for apps.
    pub apps_dir: PathBuf,
    /// Name of the app and its folder.
    pub name: String,
    /// The clusters it offers, as Open OnDemand calls them.
    pub clusters: Vec<String>,
    /// The job of its session.
    pub session: OnDemandSession,
}

/// The job that a session of the app is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDemandSession {
    /// Its partition; `None`: Slurm's default one.
    pub partition: Option<String>,
    /// Its cores.
    pub cpus: u32,
    /// Its memory.
    pub memory_gb: u32,
    /// Where the service runs.
    pub mode: SessionMode,
}

/// Where the service of a session runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionMode {
    /// In a job of its own, which the session submits.
    #[default]
    Submit,
    /// In the session's own job.
    SameJob,
}

static PARTITION: Format = name("a partition of Slurm", &["cpu"]);
static APP: Format = name("the name of a folder", &["blackfish"]);

static SESSION: Map = Map::of(
    "`session`",
    &[
        Key::new("partition", Shape::Format(&PARTITION), "The partition of the session's own job")
            .or("Slurm's default one"),
        Key::new("cpus", Shape::Whole(1, 1024), "Its cores").or("1"),
        Key::new("memory_gb", Shape::Whole(1, 65_536), "Its memory in GB").or("2"),
        Key::new("mode", Shape::Choice(&["submit", "same_job"]), "Whether the service is a job of its own")
            .or("submit"),
    ],
);

pub(super) static MAP: Map = Map::of(
    "`ondemand`",
    &[
        Key::new("apps_dir", Shape::Format(&PATH), "Where Open OnDemand looks for apps")
            .or("/var/www/ood/apps/sys"),
        Key::new("name", Shape::Format(&APP), "Name of the app").or("blackfish"),
        Key::new("clusters", Shape::List(&Shape::Format(&CLUSTER)), "The clusters it offers"),
        Key::new("session", Shape::Map(&SESSION), "The job of a session"),
    ],
);

pub(super) fn read(view: View<'_>, folder: &Path) -> DeclaredOnDemand {
    let session = view.map("session");
    DeclaredOnDemand {
        apps_dir: folder.join(view.text("apps_dir").unwrap_or_else(|| "/var/www/ood/apps/sys".into())),
        name: view.text("name").unwrap_or_else(|| "blackfish".into()),
        clusters: view.texts("clusters"),
        session: OnDemandSession {
            partition: session.text("partition"),
            cpus: session.whole("cpus").unwrap_or(1),
            memory_gb: session.whole("memory_gb").unwrap_or(2),
            mode: match session.text("mode").as_deref() {
                Some("same_job") => SessionMode::SameJob,
                _ => SessionMode::Submit,
            },
        },
    }
}
