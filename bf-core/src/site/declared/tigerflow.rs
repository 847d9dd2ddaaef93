//! `tigerflow:` of site.yaml: what batch jobs run with.

use std::path::{Path, PathBuf};

use super::forms::{PATH, name};
use crate::shape::{Format, Key, Map, Shape, View};

/// The installation of TigerFlow that the cache must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredTigerFlow {
    /// Its version; `None`: that which this bf-admin knows.
    pub version: Option<String>,
    /// Whether the tasks that run models come with it.
    pub ml: bool,
    /// The interpreter that it is installed for.
    pub python: Option<PathBuf>,
    /// How many installations stay, the present one included.
    pub keep: u32,
}

static VERSION: Format = name("a version", &["1.2.0"]);

pub(super) static MAP: Map = Map::of(
    "`tigerflow`",
    &[
        Key::new("version", Shape::Format(&VERSION), "Its version").or("that which bf-admin knows"),
        Key::new("ml", Shape::Bool, "With the tasks that run models").or("true"),
        Key::new("python", Shape::Format(&PATH), "The interpreter it is installed for")
            .or("the newest that everybody can run"),
        Key::new("keep", Shape::Whole(1, 100), "Installations that stay, the present one included").or("2"),
    ],
);

pub(super) fn read(view: View<'_>, folder: &Path) -> DeclaredTigerFlow {
    DeclaredTigerFlow {
        version: view.text("version"),
        ml: view.bool("ml").unwrap_or(true),
        python: view.text("python").map(|python| folder.join(python)),
        keep: view.whole("keep").unwrap_or(2),
    }
}
