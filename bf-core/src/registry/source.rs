//! A registry as a place where images come from.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use super::{BlobStore, Fetcher, Options, RegistryError, Repository};
use crate::image::Reference;
use crate::oci::{Blobs, Descriptor, Image, MAX_CONFIG, OciError, Platform, Source};
use crate::report::Failure;

/// An image of a registry, and the folder that its blobs are fetched into.
#[derive(Debug)]
pub struct RegistrySource {
    repository: Arc<Repository>,
    store: BlobStore,
}

impl RegistrySource {
    /// The image that `reference` names. Nothing is asked yet.
    pub fn new(reference: &Reference, store: BlobStore, options: Options) -> Result<Self, RegistryError> {
        Ok(Self { repository: Arc::new(Repository::new(reference, options)?), store })
    }

    /// The repository, for whoever only wants to know whether a tag has moved.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }
}

impl Source for RegistrySource {
    fn image(&self, platform: &Platform) -> Result<Image, Failure> {
        let name = self.repository.reference.to_string();
        let (fetched, manifest) = self.repository.manifest_for(platform)?;
        if manifest.config.size > MAX_CONFIG {
            return Err(OciError::TooLarge { name, what: "configuration", limit: MAX_CONFIG }.into());
        }
        // It is small: so it is worth to look whether it is still what it was.
        self.store.complete(&manifest.config, true)?;
        let path = self.repository.fetch(&manifest.config, &self.store)?;
        let config = fs_err::read(path)?;
        let layers = Layers {
            repository: Arc::clone(&self.repository),
            store: self.store.clone(),
            blobs: manifest.layers.iter().rev().cloned().collect(),
            fetcher: Mutex::new(None),
        };
        Ok(Image::new(&name, platform, fetched.bytes, manifest, config, Box::new(layers))?)
    }
}

/// The layers of the image. All of them begin to load, the top one first, when the first one is opened.
struct Layers {
    repository: Arc<Repository>,
    store: BlobStore,
    /// The top one first.
    blobs: Vec<Descriptor>,
    fetcher: Mutex<Option<Fetcher>>,
}

impl Blobs for Layers {
    fn open(&self, layer: &Descriptor) -> Result<Box<dyn Read + Send>, Failure> {
        let mut fetcher = self.fetcher.lock().unwrap_or_else(PoisonError::into_inner);
        let fetcher = match &mut *fetcher {
            Some(fetcher) => fetcher,
            none => none.insert(Fetcher::start(&self.repository, self.store.clone(), &self.blobs)?),
        };
        Ok(Box::new(fetcher.open(&layer.digest)?))
    }
}
