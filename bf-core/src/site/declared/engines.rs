//! `engines:` of site.yaml.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::forms::PYTHON;
use crate::shape::{Key, Map, Shape, View};

/// A native engine that the cache must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredEngine {
    /// Its version; `None`: that of the engine's definition.
    pub version: Option<String>,
    /// The interpreter it runs with; `None`: the newest that everybody can run.
    pub python: Option<PathBuf>,
}

pub(super) static MAP: Map = Map::of(
    "an engine",
    &[
        Key::new("version", Shape::Text, "Its version").or("that of its definition"),
        Key::new("python", Shape::Format(&PYTHON), "The interpreter it runs with")
            .or("the newest that everybody can run"),
    ],
);

pub(super) fn read(view: View<'_>, folder: &Path) -> BTreeMap<String, DeclaredEngine> {
    let engine = |view: View<'_>| DeclaredEngine {
        version: view.text("version"),
        python: view.text("python").map(|python| folder.join(python)),
    };
    view.entries().iter().map(|entry| (entry.key.clone(), engine(View::of(&entry.value)))).collect()
}
