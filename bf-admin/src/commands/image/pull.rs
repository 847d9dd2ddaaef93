//! `image pull`: an image of a registry becomes one of the cache. Writes site.lock, never site.yaml.

use bf_core::image::Reference;
use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, Locked};
use bf_core::squashfs::Compression;
use clap::Args;

use super::{choose, name};
use crate::cli::Context;
use crate::commands::single;
use crate::image::{self, Fetch, How, Maker};
use crate::locate;
use crate::plan::{self, Change, Step, Task};
use crate::present::{Depth, Disk};

/// Options of `image pull`.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// The image, as `ghcr.io/org/name:tag`
    // Not read by clap, which would repeat a password that somebody wrote into it.
    #[arg(value_name = "REF")]
    reference: String,
    /// What it is called in site.lock: the id of the engine that it is for [default: name_tag]
    #[arg(long = "as", value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// How its root filesystem is compressed: zstd[:LEVEL] or gzip[:LEVEL]
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
    /// Fetches it, unless it is there.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let reference = self.reference.parse::<Reference>();
        let reference = reference.map_err(|error| Failure { exit: Exit::Usage, ..error.into() })?;
        let layout = locate::cache(context)?;
        single::run(context, &layout, self.dry_run, |locked| self.step(context, &layout, &reference, locked))
    }

    fn step(
        &self,
        context: &Context,
        layout: &Layout,
        reference: &Reference,
        locked: &Locked,
    ) -> Result<Step, Failure> {
        const KIND: &str = "image";
        let file = reference.sif_name();
        let sif = format!("images/{file}");
        let default = file.strip_suffix(".sif").unwrap_or(&file).to_owned();
        let name = choose(locked, self.name.as_deref(), &sif, reference, default)?;
        let own = locked.images.get(&name).filter(|own| own.whole().is_some_and(|own| own.serves(reference)));
        let disk = own.map_or(Disk::Absent, |own| image::locked_image(layout, own, Depth::Quick));
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
        let maker = Maker::of(&self.how, self.compression, &context.environment)?;
        let why = match disk {
            Disk::Damaged(why) => format!(": {why}"),
            _ => String::new(),
        };
        let own = own.filter(|_| disk == Disk::Whole && !self.force).cloned();
        let fetch = Fetch { reference: reference.clone(), maker, own };
        let task = Task::Image(name.clone(), Box::new(fetch));
        Ok(Step::new(KIND, name, Change::Pull, format!("{reference}{why}"), task))
    }
}
