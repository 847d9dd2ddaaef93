//! `bf-user image ls`

use std::io::{self, Write};

use bf_core::image::{self, ImageInfo};
use bf_core::report::{Exit, Failure, Report, human_bytes, table};
use bf_core::settings::Settings;
use bf_core::site::Locked;
use serde::Serialize;

use super::shared;
use crate::images;
use crate::printer::Printer;

/// Where an image is.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Where {
    Cache,
    Own,
}

#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    image: ImageInfo,
    location: Where,
}

#[derive(Debug, Serialize)]
struct Images {
    images: Vec<Listed>,
}

impl Report for Images {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.images.is_empty() {
            return writeln!(out, "no images");
        }
        let rows = self.images.iter().map(|Listed { image, location }| {
            vec![
                image.name.clone(),
                image.reference.as_ref().map_or_else(|| "-".into(), ToString::to_string),
                human_bytes(image.size_bytes),
                image.compression.unwrap_or("-").into(),
                match location {
                    Where::Cache => "cache".into(),
                    Where::Own => "own".into(),
                },
            ]
        });
        table(out, &["IMAGE", "REF", "SIZE", "COMPRESSION", "WHERE"], rows)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.images.iter().try_for_each(|listed| writeln!(out, "{}", listed.image.name))
    }
}

/// Lists them, the shared cache's first; what cannot be run is a warning.
pub(super) fn run(settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    if let Some((layout, locked)) = shared(settings, printer) {
        let inventory = image::list(&layout, &locked);
        printer.findings(&inventory.findings);
        all.extend(inventory.images.into_iter().map(|image| Listed { image, location: Where::Cache }));
    }
    if let Some(layout) = images::own(&settings.home_dir)? {
        let mut inventory = image::list(&layout, &Locked::load(&layout)?);
        for finding in &mut inventory.findings {
            finding.hint =
                Some("`bf-user image pull` fetches it again, `bf-user image rm` removes it".into());
        }
        printer.findings(&inventory.findings);
        all.extend(inventory.images.into_iter().map(|image| Listed { image, location: Where::Own }));
    }
    printer.report(&Images { images: all })?;
    Ok(Exit::Ok)
}
