//! Makes a SIF of a registry's image: fetched, converted and compressed at once.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use bf_core::convert::{self, Found, Order, Told};
use bf_core::image::store::Make;
use bf_core::image::{Digest, Reference};
use bf_core::registry::{Bandwidth, Options};
use bf_core::report::{Exit, Failure, human_bytes};
use bf_core::settings::Environment;
use bf_core::squashfs::Compression;
use clap::Args;
use nix::sys::statvfs::statvfs;

use super::line::Line;

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
}

/// An image that the registry has, and how a SIF is made of it.
pub(super) struct Maker<'a> {
    found: Found,
    how: &'a How,
    line: Line,
}

impl<'a> Maker<'a> {
    /// Asks the registry what `reference` stands for.
    pub(super) fn find(reference: &Reference, how: &'a How, line: Line) -> Result<Self, Failure> {
        let found = convert::find(reference, &how.options()).map_err(|failure| hinted(failure, reference))?;
        Ok(Self { found, how, line })
    }

    /// What the reference stands for.
    pub(super) fn digest(&self) -> &Digest {
        &self.found.digest
    }
}

impl How {
    fn options(&self) -> Options {
        let mut options = Options::new(Environment::of_process());
        options.https = !self.no_https;
        options.bandwidth = Arc::new(Bandwidth::new(self.bwlimit.unwrap_or_default()));
        options
    }

    /// Unless somebody says more, what every machine that runs containers can read.
    fn compression(&self) -> Compression {
        self.compression.unwrap_or(Compression::GZIP)
    }
}

impl Make for Maker<'_> {
    fn known(&self) -> Option<(&Digest, String)> {
        Some((&self.found.digest, self.how.compression().to_string()))
    }

    fn make(&self, to: &Path, downloads: &Path) -> Result<Option<Digest>, Failure> {
        let file = convert::create(to)?;
        let name = self.found.pinned.clone().unpinned();
        let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let order = Order {
            reference: &name,
            source: Some(&self.found.digest),
            compression: self.how.compression(),
            threads: self.how.threads.unwrap_or_else(processors),
            tool: env!("CARGO_PKG_VERSION"),
        };
        let fits = |needed| fits(downloads, needed, &name);
        let line = self.line.clone();
        let tell: Arc<dyn Fn(Told) + Send + Sync> = Arc::new(move |told| line.tell(told));
        convert::pull(&self.found, &file, downloads, &order, self.how.options(), &fits, &tell)
            .map_err(|failure| hinted(failure, &name))?;
        Ok(Some(self.found.digest.clone()))
    }
}

/// Refuses what the folder's filesystem has no room for. One that cannot be asked is let be: writing will tell.
fn fits(folder: &Path, needed: u64, name: &Reference) -> Result<(), Failure> {
    let Ok(stat) = statvfs(folder) else { return Ok(()) };
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    if needed <= free {
        return Ok(());
    }
    let (needed, free, folder) = (human_bytes(needed), human_bytes(free), folder.display());
    let message = format!("there is no space for the image {name}: it needs {needed}, {folder} has {free}");
    Err(Failure::new(Exit::CannotCreate, "no_space", message))
}

/// What a user can do about a registry that does not speak HTTPS, in the words of this program.
fn hinted(failure: Failure, reference: &Reference) -> Failure {
    if failure.code != "registry_no_tls" {
        return failure;
    }
    let hint = format!("if {} is to be reached by plain HTTP, add --no-https", reference.registry());
    failure.with_hint(hint)
}
