//! Makes a SIF of a registry's image: fetched, converted and compressed at once.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use bf_core::convert::{Found, Recipe, Teller, Told, processors};
use bf_core::image::store::Make;
use bf_core::image::{Digest, Reference};
use bf_core::progress::Display;
use bf_core::registry::Bandwidth;
use bf_core::report::Failure;
use bf_core::settings::Environment;
use bf_core::site::DeclaredRegistry;
use bf_core::squashfs::Compression;
use clap::Args;

use crate::folder;
use crate::progress::Progress;

/// Options of whatever fetches images.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct How {
    /// How its root filesystem is compressed: zstd or gzip, with a level as `zstd:15` [default: gzip:7]
    #[arg(long)]
    pub(crate) compression: Option<Compression>,
    /// Threads that compress [default: one for each processor]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Bytes per second that are fetched at most, as 50M
    #[arg(long, value_name = "RATE", value_parser = Bandwidth::parse)]
    pub(crate) bwlimit: Option<u64>,
    /// Reach the registries of images by plain HTTP
    #[arg(long)]
    pub(crate) no_https: bool,
    #[command(flatten)]
    pub(crate) progress: Progress,
}

/// An image that the registry has, and how a SIF is made of it.
pub(super) struct Maker {
    found: Found,
    recipe: Recipe,
    tell: Teller,
}

impl Maker {
    /// Asks the registry, which is reached in this way, what `reference` stands for. The display's thing number 0 is the image.
    pub(super) fn find(
        reference: &Reference,
        how: &How,
        registry: DeclaredRegistry,
        display: &Arc<Display>,
    ) -> Result<Self, Failure> {
        let (recipe, display) = (how.recipe(registry), Arc::clone(display));
        let tell: Teller =
            Arc::new(move |told: Told| told.news().iter().for_each(|news| display.tell(0, news)));
        let found = recipe.find(reference, &tell)?;
        Ok(Self { found, recipe, tell })
    }

    /// What the reference stands for.
    pub(super) fn digest(&self) -> &Digest {
        &self.found.digest
    }
}

impl How {
    fn recipe(&self, mut registry: DeclaredRegistry) -> Recipe {
        registry.plain_http |= self.no_https;
        Recipe {
            environment: Environment::of_process(),
            registry,
            has_site: false,
            // Unless somebody says more, what every machine that runs containers can read.
            compression: self.compression.unwrap_or(Compression::GZIP),
            threads: self.threads.unwrap_or_else(processors),
            bandwidth: self.bwlimit.unwrap_or_default(),
            tool: env!("CARGO_PKG_VERSION"),
        }
    }
}

impl Make for Maker {
    fn known(&self) -> Option<(&Digest, String)> {
        Some((&self.found.digest, self.recipe.compression.to_string()))
    }

    fn make(&self, to: &Path, downloads: &Path) -> Result<Option<Digest>, Failure> {
        let name = self.found.pinned.clone().unpinned();
        let fits = |needed| folder::fits(downloads, (needed, 0), &format!("the image {name}"));
        self.recipe.make(&self.found, to, downloads, &fits, &self.tell)?;
        Ok(Some(self.found.digest.clone()))
    }
}
