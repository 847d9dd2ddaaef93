//! `image ls`: every image of the cache.

use std::io::{self, Write};

use bf_core::bounded::{self, Links};
use bf_core::image::{self, ImageInfo};
use bf_core::report::{Exit, Failure, Report, human_bytes, table};
use bf_core::sif;
use bf_core::site::{self, Locked};
use serde::Serialize;

use crate::cli::Context;
use crate::{locate, printer};

#[derive(Debug, Serialize)]
struct Images {
    images: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    info: ImageInfo,
    /// How it was compressed, with the level, as site.lock has it.
    compressed_with: Option<String>,
    /// The version of bf-admin that made it, by the record in it; nothing of what others made.
    made_by: Option<String>,
}

impl Report for Images {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.images.iter().map(|Listed { info, compressed_with, made_by }| {
            let compression = compressed_with.as_deref().or(info.compression).unwrap_or("-");
            vec![
                info.name.clone(),
                info.reference.as_ref().map_or_else(|| "-".into(), ToString::to_string),
                info.digest.as_ref().map_or("-", |digest| digest.short()).to_owned(),
                human_bytes(info.size_bytes),
                compression.to_owned(),
                made_by.as_ref().map_or_else(|| "-".into(), |version| format!("bf-admin {version}")),
                info.sif.clone(),
                if info.managed { "" } else { "not in site.lock" }.into(),
            ]
        });
        table(out, &["IMAGE", "REF", "DIGEST", "SIZE", "COMPRESSION", "MADE BY", "FILE", ""], rows)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.images.iter().try_for_each(|image| writeln!(out, "{}", image.info.name))
    }
}

/// Lists them; what cannot be run is a warning.
pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let layout = site::open(locate::cache(context)?.root())?;
    let locked = Locked::load(&layout)?;
    let inventory = image::list(&layout, &locked);
    for finding in &inventory.findings {
        printer::finding(finding);
    }
    let images = inventory.images.into_iter().map(|info| listed(info, &locked)).collect();
    context.printer.print(&Images { images })?;
    Ok(Exit::Ok)
}

fn listed(info: ImageInfo, locked: &Locked) -> Listed {
    let own = locked.images.get(&info.name).filter(|_| info.managed);
    let compressed_with = own.map(|own| own.compression.clone());
    // That there is no record, or none that can be read, is no fault of a list: `image verify` tells it.
    let record =
        bounded::open(&info.path, Links::Refuse).ok().and_then(|file| sif::provenance_of(file.file()).ok());
    Listed { info, compressed_with, made_by: record.map(|record| plain(&record.tool)) }
}

/// A version that a file says of itself, without what could change a terminal.
fn plain(version: &str) -> String {
    version.chars().filter(|c| !c.is_control()).take(40).collect()
}
