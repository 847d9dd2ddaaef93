//! `image pull`: an image of a registry becomes one of the cache. Writes site.lock, never site.yaml.

use std::path::{Path, PathBuf};

use bf_core::progress::News;
use bf_core::report::{Exit, Failure, human_bytes};
use bf_core::site::{Layout, Locked};
use bf_core::squashfs::Compression;
use clap::Args;

use super::asked::{Asked, Known};
use super::{choose, name};
use crate::cli::Context;
use crate::commands::single;
use crate::image::{self, Fetch, How, Maker, Place, Tell};
use crate::interrupt::Watch;
use crate::plan::{self, Change, Step, Task};
use crate::present::Disk;
use crate::printer::Printer;
use crate::{locate, space};

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
        let _watch = (!self.dry_run).then(|| Watch::begin(context.printer, self.resumes()));
        if let (Some(output), [text]) = (&self.output, self.references.as_slice()) {
            return self.write(context, text, output);
        }
        let layout = locate::cache(context)?;
        let known = Known::of(context, &layout)?;
        let asked = self.references.iter().map(|text| known.asked(text));
        let asked = asked.collect::<Result<Vec<Asked>, Failure>>()?;
        single::run_all(context, &layout, self.dry_run, |locked| {
            let mut note = known.place.compression().1;
            let steps = asked
                .iter()
                .map(|asked| self.step(context.printer, (&known.place, &layout), asked, locked, &mut note));
            let steps = steps.collect::<Result<Vec<Step>, Failure>>()?;
            // Together they may not fit; of each alone the run itself sees it as well.
            Ok(if self.dry_run { space::fit(&layout, steps) } else { steps })
        })
    }

    /// What somebody is told who interrupts it.
    fn resumes(&self) -> &'static str {
        match self.how.engine {
            image::Engine::Native => {
                "what was fetched stays: run the same command again, and it goes on from there"
            }
            image::Engine::Apptainer => "nothing was changed: run the same command again",
        }
    }

    fn write(&self, context: &Context, text: &str, output: &Path) -> Result<Exit, Failure> {
        let known = Known::anywhere(context)?;
        let asked = known.asked(text)?;
        let reference = &asked.reference;
        let maker = Maker::of(&self.how, self.compression.or(asked.compression), &known.place, reference)?;
        let display = context.printer.display();
        let action = Step::new(KIND, reference.to_string(), Change::Pull, "", Task::Keep).action;
        display.expect(1);
        display.start(0, (action.kind, &action.name), action.bytes, action.change.name());
        let news = |news: &News| display.tell(0, news);
        let tell = Tell { say: &|text| news(&News::Says(text.to_owned())), news: &news };
        let written = image::write_file(
            reference,
            &maker,
            output,
            (self.force, self.dry_run),
            (&tell, context.printer),
        );
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
        printer: Printer,
        (place, layout): (&Place<'_>, &Layout),
        asked: &Asked,
        locked: &Locked,
        note: &mut Option<String>,
    ) -> Result<Step, Failure> {
        let reference = &asked.reference;
        let file = reference.sif_name();
        let sif = format!("images/{file}");
        let default = file.strip_suffix(".sif").unwrap_or(&file).to_owned();
        let is_free = !locked.images.values().any(|own| own.sif == sif);
        let name = self.name.as_deref().or(asked.declared.as_deref().filter(|_| is_free));
        let name = choose(locked, name, &sif, reference, default)?;
        let own = locked.images.get(&name).filter(|own| own.whole().is_some_and(|own| own.serves(reference)));
        let disk = own.map_or(Disk::Absent, |own| image::kept(layout, own));
        let compression = self.compression.or(asked.compression);
        let otherwise = own.and_then(|own| {
            let wanted = compression.filter(|wanted| !image::compressed_as(own, *wanted))?;
            Some(format!(": compressed with {wanted} instead of {}", own.compression))
        });
        match (own, &disk) {
            _ if otherwise.is_some() => {}
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
        let maker = Maker::of(&self.how, compression, place, reference)?;
        let why = match &disk {
            Disk::Damaged(why) => format!(": {why}"),
            _ => otherwise.unwrap_or_default(),
        };
        // Said once, where nobody says how they are compressed.
        let note = note.take_if(|_| compression.is_none()).map(|note| format!("; {note}"));
        let outline =
            if self.dry_run { maker.outline(reference, &downloads(layout, &file), printer)? } else { None };
        let plan = outline.as_ref().map(|account| {
            let free = space::free(&layout.images()).map(|bytes| format!(", {} free", human_bytes(bytes)));
            format!("; {}{}", account.planned(), free.unwrap_or_default())
        });
        let detail = format!("{reference}{why}{}{}", note.unwrap_or_default(), plan.unwrap_or_default());
        let own = own.filter(|_| disk == Disk::Whole && !self.force).cloned();
        let fetch = Fetch { reference: reference.clone(), sif: None, maker, own };
        let task = Task::Image(name.clone(), Box::new(fetch));
        let mut step = Step::new(KIND, name, Change::Pull, detail, task);
        if let Some(account) = outline {
            step.action.bytes = Some(account.outline.bytes);
            step = step.needing_room(account.outline.needs());
        }
        Ok(step)
    }
}

/// Folders in which earlier tries may have left what they fetched, of whatever claim.
fn downloads(layout: &Layout, file: &str) -> Vec<PathBuf> {
    let home = layout.images().join(Layout::DOWNLOADS);
    // What cannot be listed is not ours: then nothing is there for us.
    let claims = fs_err::read_dir(home).into_iter().flatten().flatten();
    claims.map(|claim| claim.path().join(file)).collect()
}
