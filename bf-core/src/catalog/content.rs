//! What the catalogue says, taken from the cache itself and from site.lock.

use std::time::UNIX_EPOCH;

use crate::model::{self, Location, ModelInfo, Root};
use crate::report::Failure;
use crate::site::{Layout, Locked};
use crate::spec::{ResourceSpecs, SpecSource};

/// All rows.
pub(super) struct Content {
    pub(super) models: Vec<ModelInfo>,
    pub(super) locked: Locked,
    pub(super) specs: ResourceSpecs,
    /// See [`mark`].
    pub(super) models_mark: String,
}

impl Content {
    /// Looks at the cache as it is now.
    pub(super) fn of(layout: &Layout, locked: &Locked) -> Result<Self, Failure> {
        // Before the folders are read: what changes meanwhile makes the catalogue stale, and not wrong.
        let models_mark = mark(layout);
        let root = Root { path: layout.models(), location: Location::Cache };
        let models = model::list(&[root]).models;
        let mut specs = ResourceSpecs::load(&layout.resource_specs())?.specs;
        if specs.source == SpecSource::Defaults {
            specs.partitions.clear(); // they are the program's, and not the site's
        }
        Ok(Self { models, locked: locked.clone(), specs, models_mark })
    }
}

/// A mark that changes when a model is added to the cache or removed, by whoever: when its folder was last changed.
pub(super) fn mark(layout: &Layout) -> String {
    let changed = fs_err::metadata(layout.models()).and_then(|meta| meta.modified()).ok();
    let since = changed.and_then(|changed| changed.duration_since(UNIX_EPOCH).ok());
    since.map(|since| since.as_nanos().to_string()).unwrap_or_default()
}
