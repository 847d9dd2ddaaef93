//! `image ls`: every image of the cache.

use std::io::{self, Write};

use bf_core::image::{self, Inventory};
use bf_core::report::{Exit, Failure, Report, human_bytes, table};
use bf_core::site::{self, Locked};
use serde::Serialize;

use crate::cli::Context;
use crate::{locate, printer};

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Images(Inventory);

impl Report for Images {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.0.images.iter().map(|image| {
            vec![
                image.name.clone(),
                image.reference.as_ref().map_or_else(|| "-".into(), ToString::to_string),
                human_bytes(image.size_bytes),
                image.compression.unwrap_or("-").into(),
                image.sif.clone(),
                if image.managed { "" } else { "not in site.lock" }.into(),
            ]
        });
        table(out, &["IMAGE", "REF", "SIZE", "COMPRESSION", "FILE", ""], rows)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.images.iter().try_for_each(|image| writeln!(out, "{}", image.name))
    }
}

/// Lists them; what cannot be run is a warning.
pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let layout = site::open(locate::cache(context)?.root())?;
    let inventory = image::list(&layout, &Locked::load(&layout)?);
    for finding in &inventory.findings {
        printer::finding(finding);
    }
    context.printer.print(&Images(inventory))?;
    Ok(Exit::Ok)
}
