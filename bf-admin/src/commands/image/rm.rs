//! `image rm`: an image loses its name. Its file stays in the store until `image prune`, since jobs may run from it.

use std::io::{self, Write};

use bf_core::report::{Exit, Failure, Report};
use bf_core::site::{Declared, Layout, Locked, Part};
use clap::Args;
use serde::Serialize;

use crate::apply;
use crate::cli::Context;
use crate::removal;

/// Options of `image rm`.
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// The names of the images, as `image ls` shows them
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Removed {
    dry_run: bool,
    removed: Vec<Gone>,
}

#[derive(Debug, Serialize)]
struct Gone {
    name: String,
    /// The link that users open, relative to the cache.
    sif: String,
    /// The file behind it, which stays, relative to the cache.
    kept: String,
}

impl Report for Removed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would be removed" } else { "removed" };
        for gone in &self.removed {
            writeln!(
                out,
                "{}: {} {verb}; {} stays until `bf-admin image prune`",
                gone.name, gone.sif, gone.kept
            )?;
        }
        Ok(())
    }
}

impl Rm {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let find = |layout: &Layout, locked: &Locked, declared: Option<&Declared>| {
            self.found(layout, locked, declared)
        };
        removal::run(context, self.dry_run, find, |publisher, locked, removed| {
            for gone in &removed.removed {
                let link = publisher.layout().root().join(&gone.sif);
                if fs_err::symlink_metadata(&link).is_ok_and(|meta| meta.is_symlink()) {
                    publisher.remove(Part::Images, &link)?;
                }
                locked.images.remove(&gone.name);
                apply::write_lock(publisher, locked)?;
            }
            apply::keep_catalog(publisher, locked, true)?;
            let names: Vec<&str> = removed.removed.iter().map(|gone| gone.name.as_str()).collect();
            Ok(Some(format!("ok: removed {}", names.join(", "))))
        })
    }

    /// All of them, or the first that there is not.
    fn found(
        &self,
        layout: &Layout,
        locked: &Locked,
        declared: Option<&Declared>,
    ) -> Result<Removed, Failure> {
        if let Some(declared) = declared
            && let Some(name) = self.names.iter().find(|name| declared.images.contains_key(*name))
        {
            let message = format!("the image {name} is declared in {}", declared.path.display());
            return Err(Failure::new(Exit::Invalid, "image_declared", message)
                .with_hint("take it out of your site.yaml and run `bf-admin setup` first, or the next setup fetches it again"));
        }
        let mut removed = Vec::new();
        for name in &self.names {
            let own = locked.images.get(name).ok_or_else(|| {
                let message = format!("the cache {} has no image {name}", layout.root().display());
                Failure::new(Exit::NotFound, "image_not_found", message)
                    .with_hint("`bf-admin image ls` lists them")
            })?;
            let kept = layout.image_store().join(own.store_name());
            removed.push(Gone {
                name: name.clone(),
                sif: own.sif.clone(),
                kept: layout.relative(&kept).display().to_string(),
            });
        }
        Ok(Removed { dry_run: self.dry_run, removed })
    }
}
