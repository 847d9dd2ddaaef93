//! `bf-user image pull`

use std::io::{self, Write};

use bf_core::image::Reference;
use bf_core::report::{Exit, Failure, Report, human_bytes};
use bf_core::service;
use bf_core::settings::Settings;
use clap::Args;
use serde::Serialize;

use super::{Asked, shared};
use crate::images::{self, Change, Fetched, How};
use crate::printer::Printer;

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Images, as `ghcr.io/org/name:tag`, or names of engines, whose images are meant
    // Not read by clap, which would repeat a password that somebody wrote into it.
    #[arg(value_name = "REF|ENGINE", required = true)]
    references: Vec<String>,
    #[command(flatten)]
    how: How,
    /// Fetch it even if it is there, or in the shared cache
    #[arg(long)]
    force: bool,
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Images {
    dry_run: bool,
    images: Vec<Fetched>,
}

impl Report for Images {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for image in &self.images {
            let Fetched { name, reference, .. } = image;
            let size = image.size_bytes.map(|bytes| format!(", {}", human_bytes(bytes))).unwrap_or_default();
            match image.change {
                Change::Pull if self.dry_run => writeln!(out, "{name}: {reference} would be pulled")?,
                Change::Pull => writeln!(out, "{name}: {reference}{size}")?,
                Change::Keep => writeln!(out, "{name}: {reference} is there already{size}")?,
                Change::Shared => writeln!(out, "{name}: the shared cache has {reference} already{size}")?,
            }
        }
        Ok(())
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.images.iter().try_for_each(|image| writeln!(out, "{}", image.name))
    }
}

pub(super) fn run(args: &PullArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let shared = shared(settings, printer);
    let engines = service::engines(shared.as_ref().map(|(layout, _)| layout))?;
    let asked = args.references.iter().map(|text| Asked::of(&engines, text));
    let asked = asked.collect::<Result<Vec<_>, _>>()?;
    let mut images = Vec::new();
    for asked in asked {
        let there = match shared.as_ref().filter(|_| !args.force).map(|shared| asked.shared(shared)) {
            Some(Ok(there)) => there,
            // One that is damaged there is of no use to this user.
            Some(Err(failure)) => {
                printer.note(&format!("warning: {failure}"));
                None
            }
            None => None,
        };
        images.push(if let Some(sif) = there {
            Fetched {
                name: sif.name,
                digest: sif.reference.as_ref().and_then(Reference::digest).cloned(),
                reference: sif.reference.unwrap_or(asked.reference),
                change: Change::Shared,
                path: Some(sif.path),
                size_bytes: Some(sif.header.bytes),
            }
        } else {
            let how = (args.force, args.dry_run);
            images::pull(settings, &asked.reference, &args.how, how, printer)?
        });
    }
    printer.report(&Images { dry_run: args.dry_run, images })?;
    Ok(Exit::Ok)
}
