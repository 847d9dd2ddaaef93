//! Puts images into the store, checked and hashed, and switches the links that users open.

use std::path::Path;

use bf_core::digest;
use bf_core::image::{Reference, sif};
use bf_core::publish::{Content, Publisher};
use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, Locked, LockedImage, Part};

use super::facts::{sif_path, target};
use super::{Maker, Source, Tell};

/// An image that was put into the store.
#[derive(Debug)]
pub(crate) struct Put {
    /// What site.lock says of it.
    pub(crate) image: LockedImage,
    /// Whether the store had its file, whole, which was kept, and the link led to it.
    pub(crate) kept: bool,
}

/// The file in a staging folder.
const STAGED: &str = "image.sif";

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

/// What came of it.
pub(crate) enum Pulled {
    /// It was made, in the staging folder.
    Made(LockedImage),
    /// The one that is there was made of the same.
    Same(LockedImage),
}

/// Fetches an image into the folder `stage`; what is on its way is in `downloads`.
pub(crate) fn pull(
    fetch: &Fetch,
    stage: &Path,
    downloads: &Path,
    tell: &Tell<'_>,
) -> Result<Pulled, Failure> {
    let made = stage.join(STAGED);
    let reference = &fetch.reference;
    (tell.say)(&format!("pulling {reference}"));
    let plan = fetch.maker.find(reference)?;
    let known = plan.known().map(|(digest, compression)| (digest.clone(), compression));
    if let (Some((digest, compression)), Some(own)) = (&known, &fetch.own)
        && own.digest.as_ref() == Some(digest)
        && own.compression == *compression
    {
        return Ok(Pulled::Same(own.clone()));
    }
    let digest = plan.make(&made, downloads, tell)?;
    let damaged = |why: String| {
        let message = format!("what was made of {reference} is no whole image: {why}");
        Failure::new(Exit::Invalid, "image_damaged", message)
            .with_hint("nothing was published; run the command again")
    };
    let header = sif::read(&made).map_err(|error| damaged(error.to_string()))?;
    let (sha256, bytes) = digest::of_file(&made)?;
    let compression = known.map_or_else(|| compression(&header), |(_, compression)| compression);
    with_parts(
        LockedImage {
            reference: fetch.sif.is_none().then(|| reference.clone().unpinned()),
            digest,
            sif: fetch.sif.clone().unwrap_or_else(|| sif_path(reference)),
            sha256,
            bytes,
            compression,
            partition_sha256: None,
            metadata_sha256: None,
        },
        &made,
    )
    .map(Pulled::Made)
}

/// With the digests of the parts of its file.
fn with_parts(image: LockedImage, file: &Path) -> Result<LockedImage, Failure> {
    let digests = bf_core::sif::digests(fs_err::File::open(file)?.file())?;
    Ok(LockedImage {
        partition_sha256: Some(digests.partition_sha256),
        metadata_sha256: Some(digests.metadata_sha256),
        ..image
    })
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
    publish(publisher, locked, stage, image).map_err(|failure| {
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

fn compression(header: &sif::Header) -> String {
    header.primary.compression.unwrap_or("none").to_owned()
}

/// Publishes what was made in `stage`.
pub(crate) fn publish(
    publisher: &Publisher<'_>,
    locked: &Locked,
    stage: &Path,
    mut image: LockedImage,
) -> Result<Put, Failure> {
    let to = publisher.layout().image_store().join(image.store_name());
    // A file that is there already, whole, may be running: it stays. Two files that were made of one manifest differ in
    // their bytes, and site.lock says which of them is meant.
    let there = whole(locked, &to, &image)?;
    let is_there = there.is_some();
    match there {
        Some((sha256, bytes)) => (image.sha256, image.bytes) = (sha256, bytes),
        None => publisher.publish(&stage.join(STAGED), &to, Content::Program)?,
    }
    let switched = link(publisher, &image)?;
    Ok(Put { image, kept: is_there && !switched })
}

/// The digest and length of the store's file for `image`, if it is what site.lock says of it, or `image` itself.
fn whole(locked: &Locked, at: &Path, image: &LockedImage) -> Result<Option<(String, u64)>, Failure> {
    let name = image.store_name();
    let known = locked.images.values().filter(|own| own.store_name() == name).chain([image]);
    let known: Vec<(&String, u64)> = known.map(|own| (&own.sha256, own.bytes)).collect();
    let is_likely =
        |meta: std::fs::Metadata| meta.is_file() && known.iter().any(|(_, bytes)| *bytes == meta.len());
    if !fs_err::symlink_metadata(at).is_ok_and(is_likely) {
        return Ok(None);
    }
    let (sha256, bytes) = digest::of_file(at)?;
    Ok(known.contains(&(&sha256, bytes)).then_some((sha256, bytes)))
}

/// Switches the link of an image to its file; says whether it led elsewhere.
pub(crate) fn link(publisher: &Publisher<'_>, image: &LockedImage) -> Result<bool, Failure> {
    let at = publisher.layout().root().join(&image.sif);
    let target = target(image);
    if fs_err::read_link(&at).is_ok_and(|own| own == Path::new(&target)) {
        return Ok(false);
    }
    publisher.link(Part::Images, &at, Path::new(&target))?;
    Ok(true)
}

/// Writes an image down in the lock. What had the same file before is no more.
pub(crate) fn enter(locked: &mut Locked, name: String, image: LockedImage) {
    locked.images.retain(|other, own| *other == name || own.sif != image.sif);
    locked.images.insert(name, image);
}
