//! `image pull`: an image of a registry becomes one of the cache. Writes site.lock, never site.yaml.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bf_core::convert::Outline;
use bf_core::image::{ImageError, Reference};
use bf_core::progress::News;
use bf_core::report::{Exit, Failure, human_bytes};
use bf_core::service::{self, Engine};
use bf_core::site::{DeclaredImage, Layout, Locked};
use bf_core::spec::parse::closest;
use bf_core::squashfs::Compression;
use clap::Args;

use super::{choose, name, place};
use crate::cli::Context;
use crate::commands::single;
use crate::image::{self, Fetch, How, Maker, Place, Tell};
use crate::plan::{self, Change, Step, Task};
use crate::present::{Depth, Disk};
use crate::{locate, printer};

const KIND: &str = "image";

/// Options of `image pull`.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// Images, as `ghcr.io/org/name:tag`, or names of engines, whose images are meant
    // Not read by clap, which would repeat a password that somebody wrote into it.
    #[arg(value_name = "REF|ENGINE", required = true)]
    references: Vec<String>,
    /// Write one SIF file, and touch no cache
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    output: Option<PathBuf>,
    /// What it is called in site.lock: the id of the engine that it is for [default: name_tag]
    #[arg(long = "as", value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// How its root filesystem is compressed: zstd or gzip, with a level as `zstd:15`
    #[arg(long)]
    compression: Option<Compression>,
    #[command(flatten)]
    how: How,
    /// Fetch it again even if it is there
    #[arg(long)]
    force: bool,
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
}

impl Pull {
    /// Fetches them, unless they are there.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        if self.references.len() > 1 && (self.name.is_some() || self.output.is_some()) {
            let message = "`--as` and `--output` are for one image, and several are named";
            return Err(
                Failure::new(Exit::Usage, "usage", message).with_hint("pull them one after the other")
            );
        }
        if let (Some(output), [text]) = (&self.output, self.references.as_slice()) {
            let engines = service::engines(None)?;
            return self.write(context, &wanted(&engines, &BTreeMap::new(), text)?.0, output);
        }
        let layout = locate::cache(context)?;
        let engines = service::engines(Some(&layout))?;
        let declared = locate::declared_in(&layout)?.map(|declared| declared.images).unwrap_or_default();
        let references = self.references.iter().map(|text| wanted(&engines, &declared, text));
        let references = references.collect::<Result<Vec<(Reference, DeclaredImage)>, Failure>>()?;
        let place = place(context, &layout)?;
        single::run_all(context, &layout, self.dry_run, |locked| {
            let steps = references.iter().map(|wanted| self.step(&place, &layout, wanted, locked));
            let mut steps = steps.collect::<Result<Vec<Step>, Failure>>()?;
            self.note(&place, &mut steps);
            Ok(steps)
        })
    }

    /// Says once why images are compressed as they are, where nobody says how.
    fn note(&self, place: &Place<'_>, steps: &mut [Step]) {
        if self.compression.is_none()
            && let Some(step) = steps.iter_mut().find(|step| matches!(step.task, Task::Image(..)))
            && let Some(note) = place.compression().1
        {
            step.action.detail = format!("{}; {note}", step.action.detail);
        }
    }

    fn write(&self, context: &Context, reference: &Reference, output: &Path) -> Result<Exit, Failure> {
        let place = somewhere(context);
        let maker = Maker::of(&self.how, self.compression, &place, reference)?;
        let display = context.printer.display();
        let action = Step::new(KIND, reference.to_string(), Change::Pull, "", Task::Keep).action;
        display.expect(1);
        display.start(0, (action.kind, &action.name), action.bytes, action.change.name());
        let news = |news: &News| display.tell(0, news);
        let tell = Tell { say: &|text| news(&News::Says(text.to_owned())), news: &news };
        let written = image::write_file(reference, &maker, output, (self.force, self.dry_run), &tell);
        match &written {
            Ok(_) => display.finish(0),
            Err(failure) => display.fail(0, &failure.message),
        }
        drop(display);
        context.printer.print(&written?)?;
        Ok(Exit::Ok)
    }

    fn step(
        &self,
        place: &Place<'_>,
        layout: &Layout,
        (reference, declared): &(Reference, DeclaredImage),
        locked: &Locked,
    ) -> Result<Step, Failure> {
        let file = reference.sif_name();
        let sif = format!("images/{file}");
        let default = file.strip_suffix(".sif").unwrap_or(&file).to_owned();
        let name = choose(locked, self.name.as_deref(), &sif, reference, default)?;
        let own = locked.images.get(&name).filter(|own| own.whole().is_some_and(|own| own.serves(reference)));
        let disk = own.map_or(Disk::Absent, |own| image::locked_image(layout, own, Depth::Quick));
        let disk = match own.filter(|_| matches!(disk, Disk::Whole | Disk::Drifted(_))) {
            // A file of the right length may be another all the same.
            Some(own) => image::fault(layout, own).map_or(disk, Disk::Damaged),
            None => disk,
        };
        match (own, &disk) {
            (Some(own), Disk::Whole) if !self.force && own.sif == sif => {
                let detail = format!("{} is there already; --force fetches it again", own.digest12());
                return Ok(Step::keep(KIND, name, detail));
            }
            (Some(own), Disk::Whole | Disk::Drifted(_)) if !self.force => {
                image::way(layout, &sif)?;
                let task = Task::ImageLink(name.clone(), plan::mended(own, reference));
                let why =
                    if let Disk::Drifted(why) = disk { why } else { format!("it is called {}", own.sif) };
                return Ok(Step::new(KIND, name, Change::Link, why, task));
            }
            _ => {}
        }
        image::way(layout, &sif)?;
        own.map_or(Ok(()), |own| image::store_way(layout, own))?;
        let compression = self.compression.or(declared.compression);
        let maker = Maker::of(&self.how, compression, place, reference)?;
        let mut why = match &disk {
            Disk::Damaged(why) => format!(": {why}"),
            _ => String::new(),
        };
        if self.dry_run {
            let outline = maker.outline(reference, &downloads(layout, &file))?;
            why +=
                &outline.map(|(outline, compression)| outlined(&outline, &compression)).unwrap_or_default();
        }
        let own = own.filter(|_| disk == Disk::Whole && !self.force).cloned();
        let fetch = Fetch { reference: reference.clone(), sif: None, maker, own };
        let task = Task::Image(name.clone(), Box::new(fetch));
        Ok(Step::new(KIND, name, Change::Pull, format!("{reference}{why}"), task))
    }
}

/// What is known of the machines that a file without a cache is for: by the cache that is named, if any.
fn somewhere(context: &Context) -> Place<'_> {
    match locate::cache(context).and_then(|layout| place(context, &layout)) {
        Ok(place) => place,
        Err(failure) => {
            if failure.code != "cache_unnamed" {
                // It is not needed: the file is made all the same.
                printer::warning(&failure.message, failure.hint.as_deref());
            }
            Place::unknown(&context.environment)
        }
    }
}

/// Folders in which earlier tries may have left what they fetched, of whatever claim.
fn downloads(layout: &Layout, file: &str) -> Vec<PathBuf> {
    let home = layout.images().join(Layout::DOWNLOADS);
    // What cannot be listed is not ours: then nothing is there for us.
    let claims = fs_err::read_dir(home).into_iter().flatten().flatten();
    claims.map(|claim| claim.path().join(file)).collect()
}

/// What there is to fetch.
fn outlined(outline: &Outline, compression: &str) -> String {
    let Outline { digest, layers, bytes, there } = outline;
    let fetch = human_bytes(bytes.saturating_sub(*there));
    let plural = if *layers == 1 { "" } else { "s" };
    let there = if *there > 0 {
        format!(", {} of {} are there", human_bytes(*there), human_bytes(*bytes))
    } else {
        String::new()
    };
    format!(": {digest}, {layers} layer{plural}, {fetch} to fetch{there}, {compression}")
}

/// What somebody means by a word: the image of that name in site.yaml, that of the engine of that name (or of that and `-gpu`), else a
/// reference. What site.yaml says of it comes along.
fn wanted(
    engines: &[Engine],
    declared: &BTreeMap<String, DeclaredImage>,
    text: &str,
) -> Result<(Reference, DeclaredImage), Failure> {
    if text.contains(['/', ':', '@']) {
        let reference = text.parse::<Reference>().map_err(usage)?;
        return Ok((reference, DeclaredImage::default()));
    }
    let own = declared.get(text).cloned().unwrap_or_default();
    match image::reference(engines, text, &own) {
        Ok(reference) => Ok((reference, own)),
        Err(failure) if declared.contains_key(text) => Err(failure),
        Err(_) => {
            let engines = engines.iter().filter(|engine| engine.image.is_some()).map(|engine| &engine.id);
            let names: BTreeSet<&str> = engines.chain(declared.keys()).map(String::as_str).collect();
            // `ubuntu` is a reference as well; only what is nearly a name is taken for one.
            if let Some(near) = closest(text, names.iter().copied()) {
                let message = format!("no engine and no image of site.yaml is called {text}");
                return Err(Failure::new(Exit::Usage, "image_unknown", message).with_hint(format!(
                    "did you mean {near}? An image of Docker Hub of that name is docker.io/library/{text}"
                )));
            }
            Ok((text.parse::<Reference>().map_err(usage)?, own))
        }
    }
}

fn usage(error: ImageError) -> Failure {
    Failure { exit: Exit::Usage, ..error.into() }
}
