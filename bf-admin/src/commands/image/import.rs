//! `image import`: a SIF file of this machine becomes an image of the cache. Writes site.lock, never site.yaml.

use std::path::PathBuf;

use bf_core::digest;
use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, Locked};
use clap::Args;

use super::{choose, name};
use crate::cli::Context;
use crate::commands::single;
use crate::image::{self, Source};
use crate::locate;
use crate::plan::{Change, Step, Task};
use crate::present::{self, Depth, Disk};

/// Options of `image import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The SIF file
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// What it is called in site.lock: the id of the engine that it is for [default: name_tag]
    #[arg(long = "as", value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    /// Copies it, unless the same content is there.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let layout = locate::cache(context)?;
        single::run(context, &layout, self.dry_run, |locked| self.step(&layout, locked))
    }

    fn step(&self, layout: &Layout, locked: &Locked) -> Result<Step, Failure> {
        const KIND: &str = "image";
        let source = Source::read(&self.path, self.name.as_deref())?;
        let default = source.default_name();
        let name = choose(locked, self.name.as_deref(), &source.sif, source.reference.as_ref(), default)?;
        if let Some(own) =
            locked.images.get(&name).filter(|own| own.bytes == source.bytes && own.sif == source.sif)
            && image::locked_image(layout, own, Depth::Full) == Disk::Whole
            && digest::of_file(&self.path)?.0 == own.sha256
        {
            return Ok(Step::keep(KIND, name, "already there"));
        }
        if source.is_in_place(layout) {
            source.is_ours()?;
        } else {
            image::way(layout, &source.sif)?;
            present::space(&layout.images(), source.bytes, &format!("image {name}"))?;
        }
        let from = source.reference.as_ref().map(|from| format!(", {from}")).unwrap_or_default();
        let (detail, bytes) = (format!("from {}{from}", self.path.display()), source.bytes);
        let task = Task::ImageFile(name.clone(), source);
        Ok(Step::new(KIND, name, Change::Import, detail, task).writing(bytes))
    }
}
