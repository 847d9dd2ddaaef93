//! `site.yaml`: the state of the cache that the administrator declares (interface E of `docs/formats.md`).
//!
//! Each section has a file, with its type, its description ([`crate::shape`]) and what is checked beyond that.

mod engines;
mod forms;
mod images;
mod models;
mod network;
#[cfg(test)]
mod noise;
mod ondemand;
mod policy;
mod registries;
mod retention;
mod rules;
mod runtime;
mod slurm;
#[cfg(test)]
mod tests;
mod tigerflow;
mod top;

pub use engines::DeclaredEngine;
pub use images::{DeclaredImage, is_name as is_image_name};
pub(super) use models::ACCESS;
pub use models::{Access, DeclaredModel};
pub use network::{NetworkRules, Ports};
pub use ondemand::{DeclaredOnDemand, OnDemandSession, SessionMode};
pub use policy::SitePolicy;
pub use registries::DeclaredRegistry;
pub use retention::Retention;
pub use rules::SiteRules;
pub use runtime::{GpuFlag, RuntimeRules};
pub use slurm::{GpuRequest, MemoryRequest, SlurmRules};
pub use tigerflow::DeclaredTigerFlow;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::report::Finding;
use crate::shape::{self, Map, View};
use crate::spec::parse::{self, ConfigError, Node, Reader, Value};

/// What a site declares. Paths are absolute: in the file they are relative to the file's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The file it was read from.
    pub path: PathBuf,
    /// Its text, which `setup` publishes as the cache's copy.
    pub text: String,
    /// The shared cache.
    pub cache_dir: PathBuf,
    /// Group that everything in the cache gets.
    pub group: Option<String>,
    /// Mode of a model's files: 0755 or 0644.
    pub file_mode: u32,
    /// Models that the cache must have.
    pub models: Vec<DeclaredModel>,
    /// Native engines that the cache must have, by id.
    pub engines: BTreeMap<String, DeclaredEngine>,
    /// Container images that the cache must have, by name.
    pub images: BTreeMap<String, DeclaredImage>,
    /// How the registries of images are reached, by their hosts.
    pub registries: BTreeMap<String, DeclaredRegistry>,
    /// The TigerFlow that the cache must have.
    pub tigerflow: Option<DeclaredTigerFlow>,
    /// The app of Open OnDemand.
    pub ondemand: Option<DeclaredOnDemand>,
    /// What bf-user keeps to.
    pub rules: SiteRules,
    /// What `prune` leaves.
    pub retention: Retention,
}

impl Declared {
    /// A declaration of nothing, for the cache at `cache_dir`.
    pub fn nothing(path: impl Into<PathBuf>, cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            text: String::new(),
            cache_dir: cache_dir.into(),
            group: None,
            file_mode: 0o755,
            models: Vec::new(),
            engines: BTreeMap::new(),
            images: BTreeMap::new(),
            registries: BTreeMap::new(),
            tigerflow: None,
            ondemand: None,
            rules: SiteRules::default(),
            retention: Retention::default(),
        }
    }

    /// Reads the file at `path`.
    pub fn load(path: &Path) -> Result<(Self, Vec<Finding>), ConfigError> {
        let path = std::path::absolute(path).map_err(ConfigError::Read)?;
        parse::load(&path, Self::parse)
    }

    /// Parses the text of the file at `path`, which is absolute. Returns what it declares, and warnings.
    ///
    /// # Errors
    /// All findings, errors and warnings, in file order.
    pub fn parse(text: &str, path: &Path) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        parse::parse(text, path, |reader, root| read(reader, root, text, path))
    }

    /// As [`Declared::parse`], with what could be read of a faulty text: it is not to be followed. Without a usable `cache_dir`
    /// that path is empty.
    pub fn draft(text: &str, path: &Path) -> (Option<Self>, Vec<Finding>) {
        parse::draft(text, path, |reader, root| read(reader, root, text, path))
    }

    /// All that the file may hold.
    pub fn shape() -> &'static Map {
        &top::MAP
    }
}

/// What could be read. It counts only if nothing was found to be wrong, which the caller knows.
fn read(reader: &Reader, root: &Node, text: &str, path: &Path) -> Option<Declared> {
    if root.value == Value::Null {
        let finding = root.at.error("empty_file", "the file says nothing");
        reader.note(finding.with_hint("give it `schema: 1` and `cache_dir:`; `bf-admin init` writes one"));
        return None;
    }
    shape::check(reader, root, &top::MAP);
    let view = View::of(root);
    let folder = path.parent().unwrap_or(Path::new("/"));
    Some(Declared {
        path: path.to_owned(),
        text: text.to_owned(),
        group: view.text("group"),
        file_mode: view.text("file_mode").and_then(|text| top::file_mode(&text)).unwrap_or(0o755),
        models: models::read(reader, view.list("models"), folder),
        engines: engines::read(view.map("engines"), folder),
        images: images::read(reader, view.map("images")),
        registries: registries::read(view.map("registries")),
        tigerflow: view.node("tigerflow").map(|node| tigerflow::read(View::of(node), folder)),
        ondemand: view.node("ondemand").map(|node| ondemand::read(View::of(node), folder)),
        rules: rules::read(reader, view),
        retention: retention::read(view.map("retention")),
        cache_dir: view.text("cache_dir").map(|cache| folder.join(cache)).unwrap_or_default(),
    })
}
