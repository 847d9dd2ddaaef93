//! An image of a registry as a SIF: what its tag stands for is found out first, then it is fetched and converted at once.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Converted, Order, Progress, Teller, Told, convert};
use crate::image::{Digest, Reference};
use crate::oci::{Platform, Source};
use crate::registry::{BlobStore, Options, RegistrySource, Repository};
use crate::report::{Exit, Failure};

/// What a reference stands for, before anything of it is fetched.
#[derive(Debug)]
pub struct Found {
    /// The digest of its manifest, or of its index if it has one: what a reference is pinned to.
    pub digest: Digest,
    /// The same image, pinned.
    pub pinned: Reference,
}

/// Asks the registry what `reference` stands for. A reference with a digest stands for that, and nobody is asked.
pub fn find(reference: &Reference, options: &Options) -> Result<Found, Failure> {
    let digest = match reference.digest() {
        Some(digest) => digest.clone(),
        None => Repository::new(reference, options.clone())?.digest()?,
    };
    Ok(Found { pinned: reference.clone().pinned(digest.clone()), digest })
}

/// What an image consists of, by its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// What its reference stands for.
    pub digest: Digest,
    /// Its layers.
    pub layers: usize,
    /// Their bytes as the registry stores them.
    pub bytes: u64,
    /// How many of these earlier tries have fetched.
    pub there: u64,
}

impl Outline {
    /// Bytes that are still to be fetched.
    pub fn rest(&self) -> u64 {
        self.bytes.saturating_sub(self.there)
    }

    /// Bytes that it needs on the disk: what is still to be fetched, and a SIF, which is about as large as all of it. Sizes are the
    /// registry's word.
    pub fn needs(&self) -> u64 {
        self.rest().saturating_add(self.bytes.saturating_add(self.bytes / 10))
    }
}

/// Asks the registry what there would be to fetch, and fetches nothing but the manifest. `downloads` are folders that [`pull`] was given
/// before; those that are not there are passed over.
pub fn outline(
    found: &Found,
    downloads: &[std::path::PathBuf],
    options: Options,
) -> Result<Outline, Failure> {
    let (_, manifest) = Repository::new(&found.pinned, options)?.manifest_for(&Platform::of_host())?;
    let stores = downloads.iter().filter(|folder| folder.is_dir()).map(BlobStore::new);
    let stores = stores.collect::<io::Result<Vec<BlobStore>>>()?;
    let fetched = |digest| stores.iter().map(|store| present(store, digest)).max().unwrap_or_default();
    Ok(Outline {
        digest: found.digest.clone(),
        layers: manifest.layers.len(),
        bytes: manifest.layers.iter().fold(0, |sum, layer| layer.size.saturating_add(sum)),
        there: manifest
            .layers
            .iter()
            .map(|layer| fetched(&layer.digest).min(layer.size))
            .fold(0, u64::saturating_add),
    })
}

/// Fetches what was found and makes a SIF of it in `file`, as [`convert`] does. `downloads` is a private folder on a disk: what is
/// in it of an earlier try is used, and layers stay there until the caller removes it.
///
/// `fits` is told how many bytes its layers have in the registry, before they are fetched, and may refuse.
pub fn pull(
    found: &Found,
    file: &File,
    downloads: &Path,
    order: &Order<'_>,
    mut options: Options,
    fits: &dyn Fn(u64) -> Result<(), Failure>,
    tell: &Teller,
) -> Result<Converted, Failure> {
    let store = BlobStore::new(downloads)?;
    let listener = Arc::clone(tell);
    options.progress = Arc::new(move |event| listener(Told::Registry(event)));
    let source = RegistrySource::new(&found.pinned, store.clone(), options)?;
    let image = source.image(&Platform::of_host())?;
    let layers = image.layers();
    let bytes = layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.descriptor.size));
    let there: u64 = layers.iter().map(|layer| present(&store, &layer.descriptor.digest)).sum();
    let outline = Outline { digest: found.digest.clone(), layers: layers.len(), bytes, there };
    fits(outline.needs())?;
    tell(Told::Found { digest: found.digest.clone(), layers: layers.len(), bytes });
    convert(&image, file, order, &mut |progress| tell(Told::Layers(progress)))
}

/// Bytes of a blob that an earlier try has fetched.
fn present(store: &BlobStore, digest: &Digest) -> u64 {
    let path = store.path(digest);
    let partial = path.with_extension("partial");
    [path, partial].iter().find_map(|path| fs_err::metadata(path).ok()).map_or(0, |meta| meta.len())
}

/// Makes a SIF of an image that is on disk: a folder in OCI's layout, an archive of one, or what `docker save` wrote.
pub fn import(
    path: &Path,
    wanted: Option<&str>,
    file: &File,
    order: &Order<'_>,
    tell: &dyn Fn(Progress),
) -> Result<Converted, Failure> {
    let source = crate::oci::LocalSource::open(path, wanted)?;
    let image = source.image(&Platform::of_host())?;
    convert(&image, file, order, &mut |progress| tell(progress))
}

/// A new, empty file that is written and then read once more.
///
/// # Errors
/// There is one already.
pub fn create(path: &Path) -> Result<File, Failure> {
    let made = File::options().read(true).write(true).create_new(true).open(path);
    made.map_err(|error| {
        let message = format!("{} cannot be made: {error}", path.display());
        let exit = if error.kind() == io::ErrorKind::PermissionDenied {
            Exit::Permission
        } else {
            Exit::CannotCreate
        };
        Failure::new(exit, "cannot_create", message)
    })
}
