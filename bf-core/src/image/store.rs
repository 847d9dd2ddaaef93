//! Puts images into the store of a cache, checked and hashed, and switches the links that users open: in the shared cache and in that of
//! a user's own.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::{Digest, Reference, sif};
use crate::digest;
use crate::model;
use crate::publish::{Content, Publisher};
use crate::report::{Exit, Failure};
use crate::site::{Layout, Locked, LockedImage, Part};

/// The file of an image in a staging folder.
pub const STAGED: &str = "image.sif";

/// An image that was put into the store.
#[derive(Debug)]
pub struct Put {
    /// What site.lock says of it.
    pub image: LockedImage,
    /// Whether the store had its file, whole, which was kept, and the link led to it.
    pub kept: bool,
}

/// What came of a pull.
#[derive(Debug)]
pub enum Pulled {
    /// It was made, in the staging folder.
    Made(LockedImage),
    /// The one that is there was made of the same.
    Same(LockedImage),
}

/// What is pulled.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The image.
    pub reference: &'a Reference,
    /// The link that users open, relative to the cache, where that is not the reference's: then nothing is known of a registry.
    pub sif: Option<&'a str>,
    /// The one that is there, whole: what it was made of need not be fetched again.
    pub own: Option<&'a LockedImage>,
}

/// Something that makes a SIF of what it has found out to be the image.
pub trait Make {
    /// The digest of what would be made, and its compression, where that is known.
    fn known(&self) -> Option<(&Digest, String)>;

    /// Makes the file `to` in a private folder, and gives the digest of what it was made of where that is known. What is fetched goes to
    /// `downloads`, if it can go on with it another time.
    fn make(&self, to: &Path, downloads: &Path) -> Result<Option<Digest>, Failure>;
}

/// Makes an image in the folder `stage`, unless the one that is there is made of the same; what is on its way is in `downloads`.
pub fn pull(
    wanted: &Wanted<'_>,
    maker: &dyn Make,
    stage: &Path,
    downloads: &Path,
) -> Result<Pulled, Failure> {
    let reference = wanted.reference;
    let known = maker.known().map(|(digest, compression)| (digest.clone(), compression));
    if let (Some((digest, compression)), Some(own)) = (&known, wanted.own)
        && own.digest.as_ref() == Some(digest)
        && own.compression == *compression
    {
        return Ok(Pulled::Same(own.clone()));
    }
    let made = stage.join(STAGED);
    let digest = maker.make(&made, downloads)?;
    let header = sif::read(&made).map_err(|error| {
        let message = format!("what was made of {reference} is no whole image: {error}");
        Failure::new(Exit::Invalid, "image_damaged", message)
            .with_hint("nothing was published; run the command again")
    })?;
    let (sha256, bytes) = digest::of_file(&made)?;
    // Our own record has the level, which the filesystem itself does not keep.
    let recorded = || crate::sif::provenance_of(fs_err::File::open(&made).ok()?.file()).ok();
    let compression = match known {
        Some((_, compression)) => compression,
        None => recorded().map_or_else(|| compression(&header), |record| record.compression),
    };
    let image = LockedImage {
        reference: wanted.sif.is_none().then(|| reference.clone().unpinned()),
        digest,
        sif: wanted.sif.map_or_else(|| sif_path(reference), str::to_owned),
        sha256,
        bytes,
        compression,
        partition_sha256: None,
        metadata_sha256: None,
    };
    with_parts(image, &made).map(Pulled::Made)
}

/// What a file says of its compression, without the level, which it does not know.
pub fn compression(header: &sif::Header) -> String {
    header.primary.compression.unwrap_or("none").to_owned()
}

/// With the digests of the parts of its file.
pub fn with_parts(image: LockedImage, file: &Path) -> Result<LockedImage, Failure> {
    let digests = crate::sif::digests(fs_err::File::open(file)?.file())?;
    Ok(LockedImage {
        partition_sha256: Some(digests.partition_sha256),
        metadata_sha256: Some(digests.metadata_sha256),
        ..image
    })
}

/// Publishes what was made in `stage`.
pub fn publish(
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
        Some((sha256, bytes)) => image = with_parts(LockedImage { sha256, bytes, ..image }, &to)?,
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

/// Where the link of an image is, relative to the cache.
pub fn sif_path(reference: &Reference) -> String {
    format!("images/{}", reference.sif_name())
}

/// What the link of an image holds.
pub fn target(own: &LockedImage) -> String {
    format!(".store/{}", own.store_name())
}

/// Switches the link of an image to its file; says whether it led elsewhere.
pub fn link(publisher: &Publisher<'_>, image: &LockedImage) -> Result<bool, Failure> {
    let at = publisher.layout().root().join(&image.sif);
    let target = target(image);
    if fs_err::read_link(&at).is_ok_and(|own| own == Path::new(&target)) {
        return Ok(false);
    }
    publisher.link(Part::Images, &at, Path::new(&target))?;
    Ok(true)
}

/// Writes an image down in the lock. What had the same file before is no more.
pub fn enter(locked: &mut Locked, name: String, image: LockedImage) {
    locked.images.retain(|other, own| *other == name || own.sif != image.sif);
    locked.images.insert(name, image);
}

/// Publishes site.lock, unless it is as it was. Files of images and revisions of models that lose their name by it are marked with the time,
/// from which `image prune` and `model prune` count.
pub fn write_lock(publisher: &Publisher<'_>, locked: &Locked) -> Result<(), Failure> {
    let layout: &Layout = publisher.layout();
    let path = layout.site_lock();
    let text = locked.text()?;
    if fs_err::read_to_string(&path).ok().as_deref() == Some(&text) {
        return Ok(());
    }
    let before = Locked::load(layout)?;
    publisher.file(Part::Top, &path, text.as_bytes())?;
    model::store::retire(layout, &before, locked)?;
    let named: Vec<String> = locked.images.values().map(LockedImage::store_name).collect();
    for nameless in before.images.values().map(LockedImage::store_name).filter(|name| !named.contains(name)) {
        match fs_err::File::open(layout.image_store().join(nameless)) {
            Ok(file) => file.set_modified(SystemTime::now())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::sif::testing::small;
    use crate::lock::SiteGuard;
    use crate::publish::Policy;

    struct Of(Digest, Vec<u8>);

    impl Make for Of {
        fn known(&self) -> Option<(&Digest, String)> {
            Some((&self.0, "gzip:6".into()))
        }

        fn make(&self, to: &Path, _: &Path) -> Result<Option<Digest>, Failure> {
            fs_err::write(to, &self.1)?;
            Ok(Some(self.0.clone()))
        }
    }

    #[test]
    fn what_is_no_image_is_not_published_and_what_is_there_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let digest: Digest = format!("sha256:{}", "a1".repeat(32)).parse().unwrap();
        let reference: Reference = "q.io/org/name:tag".parse().unwrap();
        let wanted = Wanted { reference: &reference, sif: None, own: None };
        let damaged = pull(&wanted, &Of(digest.clone(), b"no".to_vec()), dir.path(), dir.path());
        assert_eq!(damaged.unwrap_err().code, "image_damaged");
        let own = LockedImage {
            reference: Some(reference.clone()),
            digest: Some(digest.clone()),
            sif: sif_path(&reference),
            sha256: "0".repeat(64),
            bytes: 1,
            compression: "gzip:6".into(),
            partition_sha256: None,
            metadata_sha256: None,
        };
        let wanted = Wanted { own: Some(&own), ..wanted };
        let same = pull(&wanted, &Of(digest, small(1, 200)), dir.path(), dir.path()).unwrap();
        assert!(matches!(same, Pulled::Same(image) if image == own));
    }

    #[test]
    fn only_the_parts_that_are_written_to_are_made() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(fs_err::canonicalize(dir.path()).unwrap());
        // As somebody has his models on another disk.
        let other = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(other.path(), layout.models()).unwrap();
        let guard = SiteGuard::take(&layout).unwrap();
        let publisher = Publisher::of_parts(&guard, Policy::default(), &[Part::Top, Part::Images]).unwrap();
        write_lock(&publisher, &Locked::default()).unwrap();
        assert!(layout.images().is_dir() && layout.site_lock().is_file());
        assert!(!layout.part(Part::Engines).exists() && !layout.part(Part::Toolkit).exists());
        assert_eq!(fs_err::read_dir(other.path()).unwrap().count(), 0);
    }
}
