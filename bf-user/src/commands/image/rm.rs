//! `bf-user image rm`

use std::io::{self, Write};

use bf_core::image::store;
use bf_core::report::{Exit, Failure, Report};
use bf_core::settings::Settings;
use bf_core::site::Part;
use clap::Args;
use serde::Serialize;

use crate::images;
use crate::printer::Printer;

#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The names of the images, as `image ls` shows them
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Removed {
    removed: Vec<String>,
    /// How many files stay until the services that run from them have ended.
    in_use: usize,
}

impl Report for Removed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for name in &self.removed {
            writeln!(out, "removed {name}")?;
        }
        if self.in_use > 0 {
            let file = if self.in_use == 1 { "1 file stays" } else { "some files stay" };
            writeln!(out, "{file} while your services run from it; a later pull or rm removes what is left")?;
        }
        Ok(())
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.removed.iter().try_for_each(|name| writeln!(out, "{name}"))
    }
}

/// Removes them, or none if there is one that is not there.
pub(super) fn run(args: &RmArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let home = &settings.home_dir;
    let missing = |name: &str| {
        let message = format!("you have no image {name} of your own in {}", home.display());
        Failure::new(Exit::NotFound, "image_not_found", message).with_hint("`bf-user image ls` lists them")
    };
    if images::own(home)?.is_none() {
        return Err(missing(args.names.first().map_or("", String::as_str)));
    }
    let removed = images::change(home, printer, |publisher, locked| {
        let layout = publisher.layout();
        let mut links = Vec::new();
        for name in &args.names {
            // One that was put there by hand has no entry.
            let by_hand = layout.image_link(&format!("{name}.sif"));
            let link = match locked.images.get(name) {
                Some(own) => layout.root().join(&own.sif),
                None if bf_core::site::is_image_name(name) && by_hand.is_file() => by_hand,
                None => return Err(missing(name)),
            };
            links.push((name, link));
        }
        for (name, link) in links {
            if fs_err::symlink_metadata(&link).is_ok_and(|meta| !meta.is_dir()) {
                publisher.remove(Part::Images, &link)?;
            }
            locked.images.remove(name);
            store::write_lock(publisher, locked)?;
        }
        let kept = images::sweep(publisher, locked, home)?;
        Ok(Removed { removed: args.names.clone(), in_use: kept.len() })
    })?;
    printer.report(&removed)?;
    Ok(Exit::Ok)
}
