//! Puts images into the store of the cache: what is made of a registry's, and files of this machine.

use std::cell::Cell;
use std::path::Path;

use bf_core::digest;
use bf_core::image::store::{self, Make, Pulled, Put, STAGED, Wanted, compression, with_parts};
use bf_core::image::{Digest, Reference, sif};
use bf_core::publish::Publisher;
use bf_core::report::Failure;
use bf_core::site::{Layout, Locked, LockedImage};

use super::maker::Plan;
use super::{Account, Maker, Source, Tell};

/// What is fetched, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetch {
    /// The image.
    pub(crate) reference: Reference,
    /// The link that users open, relative to the cache, where that is not the reference's: then nothing is known of a registry.
    pub(crate) sif: Option<String>,
    /// Who makes a SIF of it.
    pub(crate) maker: Maker,
    /// The one that is there, whole: what it was made of need not be fetched again.
    pub(crate) own: Option<LockedImage>,
}

/// A maker's plan, who hears of it, and what was fetched.
struct Told<'a>(Plan<'a>, &'a Tell<'a>, Cell<Option<Account>>);

impl Make for Told<'_> {
    fn known(&self) -> Option<(&Digest, String)> {
        self.0.known()
    }

    fn make(&self, to: &Path, downloads: &Path) -> Result<Option<Digest>, Failure> {
        let (digest, account) = self.0.make(to, downloads, self.1)?;
        self.2.set(account);
        Ok(digest)
    }
}

/// Fetches an image into the folder `stage`, and says what was fetched where that is known; what is on its way is in `downloads`.
pub(crate) fn pull(
    fetch: &Fetch,
    stage: &Path,
    downloads: &Path,
    tell: &Tell<'_>,
) -> Result<(Pulled, Option<Account>), Failure> {
    let reference = &fetch.reference;
    (tell.say)(&match &fetch.maker {
        Maker::Local(_, path, _) => format!("importing {}", path.display()),
        Maker::Native(_) | Maker::Apptainer(_) => format!("pulling {reference}"),
    });
    let plan = Told(fetch.maker.find(reference, tell)?, tell, Cell::default());
    let wanted = Wanted { reference, sif: fetch.sif.as_deref(), own: fetch.own.as_ref() };
    let pulled = store::pull(&wanted, &plan, stage, downloads)?;
    Ok((pulled, plan.2.take()))
}

/// Copies the image that `source` is into the folder `stage`.
pub(crate) fn import(layout: &Layout, source: &Source, stage: &Path) -> Result<LockedImage, Failure> {
    let staged = stage.join(STAGED);
    // A file that somebody put where the link must be is not copied: it gets its name in the store, and jobs that
    // run from it keep it.
    let hashed = if source.is_in_place(layout) {
        fs_err::hard_link(&source.path, &staged)?;
        digest::of_file(&staged)?
    } else {
        digest::copy(&mut fs_err::File::open(&source.path)?, &mut fs_err::File::create(&staged)?)?
    };
    let (sha256, bytes) = hashed;
    // Of the copy: the file may be another one by now.
    let header = sif::read(&staged).map_err(|error| source.damaged(error))?;
    let image = LockedImage {
        reference: source.reference.clone(),
        digest: None,
        sif: source.sif.clone(),
        sha256,
        bytes,
        compression: compression(&header),
        partition_sha256: None,
        metadata_sha256: None,
    };
    with_parts(image, &staged)
}

/// Publishes what [`import`] has made in `stage`.
pub(crate) fn publish_import(
    publisher: &Publisher<'_>,
    locked: &Locked,
    source: &Source,
    stage: &Path,
    image: LockedImage,
) -> Result<Put, Failure> {
    let in_place = source.is_in_place(publisher.layout());
    store::publish(publisher, locked, stage, image).map_err(|failure| {
        if !in_place || failure.code != "link_in_the_way" {
            return failure;
        }
        // It cannot become the store's file, which is there, and jobs may run from either.
        let shown = source.path.display();
        failure.with_hint(format!(
            "the store has this very content already: when no job runs from {shown}, move it away and import it from there"
        ))
    })
}
