//! `bf-user model ls`

use std::io::{self, Write};

use bf_core::catalog::Catalog;
use bf_core::model::{self, Inventory, ModelInfo};
use bf_core::report::{Exit, Failure, Report, human_bytes, human_count, table};
use bf_core::settings::Settings;
use bf_core::site::Layout;
use serde::Serialize;

use crate::launch::{open_cache, own_models as own, roots};
use crate::printer::Printer;

#[derive(Serialize)]
struct Models {
    models: Vec<ModelInfo>,
}

impl Report for Models {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.models.is_empty() {
            return writeln!(out, "no models");
        }
        let dash = || "-".to_owned();
        let rows = self.models.iter().map(|model| {
            vec![
                model.repo.to_string(),
                model.revision.chars().take(12).collect(),
                model.format.name().to_owned(),
                model.size_bytes.map_or_else(dash, human_bytes),
                model.dtype.clone().unwrap_or_else(dash),
                model.parameters.map_or_else(dash, human_count),
                model.license.clone().unwrap_or_else(dash),
                model.location.name().to_owned(),
            ]
        });
        table(out, &["MODEL", "REVISION", "FORMAT", "SIZE", "TYPE", "PARAMETERS", "LICENSE", "WHERE"], rows)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.models.iter().try_for_each(|model| writeln!(out, "{}", model.repo))
    }
}

/// The shared cache's models from its catalogue, where it has one that is true, and the user's own.
fn inventory(settings: &Settings, layout: Option<&Layout>) -> Inventory {
    let Some(layout) = layout else { return model::list(&[own(settings)]) };
    let shown = Catalog::open(layout).and_then(|catalog| catalog.models());
    let Ok(mut shared) = shown else { return model::list(&roots(settings, layout)) };
    // The catalogue has also those that are for the members of a group.
    shared.retain(|model| model.group.is_none() || fs_err::read_dir(&model.path).is_ok());
    let mut inventory = model::list(&[own(settings)]);
    inventory.models.splice(0..0, shared);
    // By id, as a list of both roots has it; of one model the shared cache's first.
    inventory.models.sort_by(|a, b| a.repo.cmp(&b.repo));
    inventory
}

pub(super) fn run(settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    // One's own need no shared cache.
    let layout = settings.cache_dir.is_some().then(|| open_cache(settings)).transpose()?;
    let inventory = inventory(settings, layout.as_ref());
    printer.findings(&inventory.findings);
    printer.report(&Models { models: inventory.models })?;
    Ok(Exit::Ok)
}
