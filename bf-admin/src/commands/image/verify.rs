//! `image verify`: the images of the cache against site.lock, and against their registries. Takes no lock and writes nothing.

use std::io::{self, Write};

use bf_core::convert::processors;
use bf_core::host;
use bf_core::report::{Exit, Failure, Report, human_bytes, table};
use bf_core::site::{self, DeclaredImage, Layout, Locked, LockedImage};
use clap::Args;
use serde::Serialize;

use super::place;
use crate::cli::Context;
use crate::image::{self, Closely, Verified, VerifyState};
use crate::locate;
use crate::several::at_once;

/// Options of `image verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The names of the images, as `image ls` shows them [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Read every byte, and name what is damaged
    #[arg(long)]
    full: bool,
    /// Ask the registries what the tags stand for now; fetches nothing
    #[arg(long)]
    online: bool,
    /// Reach all registries by plain HTTP; for some of them, `registries` of site.yaml says it
    #[arg(long, requires = "online")]
    no_https: bool,
}

#[derive(Debug, Serialize)]
struct Images {
    ok: bool,
    images: Vec<Verified>,
}

impl Report for Images {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.images.iter().map(|image| {
            let signed = if image.signed == Some(true) { "signed" } else { "" };
            let digest = image.digest.as_ref().map_or("-", |digest| digest.short());
            vec![
                image.name.clone(),
                word(image.state).to_owned(),
                digest.to_owned(),
                image.compression.clone(),
                human_bytes(image.bytes),
                signed.to_owned(),
                image.detail.clone(),
            ]
        });
        table(out, &["IMAGE", "STATE", "DIGEST", "COMPRESSION", "SIZE", "", "DETAIL"], rows)?;
        let mut hints: Vec<&String> = self.images.iter().filter_map(|image| image.hint.as_ref()).collect();
        hints.dedup();
        hints.into_iter().try_for_each(|hint| writeln!(out, "hint: `{hint}`"))
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        let wrong = self.images.iter().filter(|image| image.state != VerifyState::Ok);
        wrong.into_iter().try_for_each(|image| writeln!(out, "{}", image.name))
    }
}

fn word(state: VerifyState) -> &'static str {
    match state {
        VerifyState::Ok => "ok",
        VerifyState::Damaged => "damaged",
        VerifyState::Missing => "missing",
        VerifyState::Drifted => "drifted",
        VerifyState::Outdated => "outdated",
        VerifyState::Unknown => "unknown",
    }
}

impl Verify {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let layout = site::open(locate::cache(context)?.root())?;
        let locked = Locked::load(&layout)?;
        let images = self.chosen(&layout, &locked)?;
        let declared = locate::declared_in(&layout)?.map(|declared| declared.images).unwrap_or_default();
        let is_pinned = |image: &DeclaredImage| {
            image.digest.is_some()
                || image.reference.as_ref().is_some_and(|reference| reference.digest().is_some())
        };
        let place = self.online.then(|| place(context, &layout)).transpose()?;
        let place = place.map(|place| place.without_https(self.no_https));
        if self.full {
            // On a login node others want to work as well.
            host::be_nice();
        }
        let images = at_once(&images, processors().get(), |(name, own)| {
            let pinned = declared.get(*name).is_some_and(is_pinned);
            let declared = declared.contains_key(*name);
            let closely = Closely { full: self.full, online: place.as_ref(), pinned, declared };
            image::verify(&layout, name, own, closely)
        });
        let exit = image::verify_exit(&images);
        let report = Images { ok: exit == Exit::Ok, images };
        context.printer.print(&report)?;
        // Of a registry that is away it is enough to hear once.
        let mut told: Vec<&Failure> = Vec::new();
        for failure in report.images.iter().filter_map(|image| image.failure.as_ref()) {
            if !told.contains(&failure) {
                context.printer.partial_failure(failure);
                told.push(failure);
            }
        }
        Ok(exit)
    }

    /// The images that are named, or all.
    fn chosen<'l>(
        &self,
        layout: &Layout,
        locked: &'l Locked,
    ) -> Result<Vec<(&'l str, &'l LockedImage)>, Failure> {
        let all = locked.images.iter().map(|(name, own)| (name.as_str(), own));
        if self.names.is_empty() {
            return Ok(all.collect());
        }
        let known = |name: &String| locked.images.get_key_value(name);
        if let Some(name) = self.names.iter().find(|name| known(name).is_none()) {
            let message = format!("the cache {} has no image {name}", layout.root().display());
            return Err(Failure::new(Exit::NotFound, "image_not_found", message)
                .with_hint("`bf-admin image ls` lists them"));
        }
        Ok(all.filter(|(name, _)| self.names.iter().any(|own| own == name)).collect())
    }
}
