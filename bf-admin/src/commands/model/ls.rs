//! `model ls`: every revision of every model of the cache.

use std::io::{self, Write};

use bf_core::model::{self, Inventory, Location, Root};
use bf_core::report::{Exit, Failure, Report, human_bytes, table};
use bf_core::site;
use serde::Serialize;

use crate::cli::Context;
use crate::{locate, printer};

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Models(Inventory);

impl Report for Models {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let rows = self.0.models.iter().map(|model| {
            vec![
                model.repo.to_string(),
                model.revision.chars().take(12).collect(),
                model.format.to_string(),
                model.size_bytes.map_or_else(|| "-".into(), human_bytes),
                known(&model.dtype),
                known(&model.task),
                known(&model.license),
            ]
        });
        table(out, &["MODEL", "REVISION", "FORMAT", "SIZE", "DTYPE", "TASK", "LICENSE"], rows)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.models.iter().try_for_each(|model| writeln!(out, "{}", model.repo))
    }
}

/// Lists them; what cannot be loaded is a warning.
pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let layout = site::open(locate::cache(context)?.root())?;
    let inventory = model::list(&[Root { path: layout.models(), location: Location::Cache }]);
    for finding in &inventory.findings {
        printer::finding(finding);
    }
    context.printer.print(&Models(inventory))?;
    Ok(Exit::Ok)
}
