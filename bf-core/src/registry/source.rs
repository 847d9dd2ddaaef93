//! A registry as a place where images come from.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::download::Watcher;
use super::{BlobStore, Event, Fetcher, Options, RegistryError, Repository};
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

impl Layers {
    /// Has a blob complete and right in the store. Whether something else was there.
    fn verify(&self, blob: &Descriptor) -> Result<bool, Failure> {
        let was_wrong = self.check_complete(blob)?;
        let rest = Rest(AtomicBool::new(false));
        self.repository.fetch_watched(blob, &self.store, &rest)?;
        Ok(was_wrong || rest.0.into_inner())
    }

    /// Removes a blob that is said to be complete and is not what its digest says. Whether it did.
    fn check_complete(&self, blob: &Descriptor) -> Result<bool, Failure> {
        let was_there = self.store.complete(blob, false)?.is_some();
        if !was_there || self.store.complete(blob, true)?.is_some() {
            return Ok(false);
        }
        let (digest, reason) = (blob.digest.clone(), "what an earlier run left was damaged".to_owned());
        self.repository.tell(Event::Restarted { digest, reason });
        Ok(true)
    }
}

/// Sees whether what there was of a blob could not be used.
struct Rest(AtomicBool);

impl Watcher for Rest {
    fn grown(&self, _: &Arc<File>, bytes: u64) {
        if bytes == 0 {
            self.0.store(true, Ordering::SeqCst);
        }
    }
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

    fn stop(&self) {
        if let Some(fetcher) = &*self.fetcher.lock().unwrap_or_else(PoisonError::into_inner) {
            fetcher.cancel();
        }
    }

    fn mend(&self, layer: &Descriptor) -> Result<bool, Failure> {
        let fetcher = self.fetcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        let was_mistaken = match fetcher {
            None => false,
            Some(fetcher) if self.repository.options.cancel.is_cancelled() => {
                drop(fetcher);
                return Ok(false);
            }
            Some(fetcher) => match fetcher.failed(&layer.digest) {
                // It was tried as often as it is worth.
                Some(failure) => return Err(failure),
                // It is stopped here: what it has got stays.
                None => fetcher.is_mistaken(&layer.digest),
            },
        };
        if !self.verify(layer)? && !was_mistaken {
            return Ok(false);
        }
        // What happened to one may have happened to all. From now on no reader is given a byte that is not known to be right.
        for blob in &self.blobs {
            self.check_complete(blob)?;
        }
        let fetcher = Fetcher::start(&self.repository, self.store.clone(), &self.blobs)?;
        for blob in &self.blobs {
            fetcher.wait(&blob.digest)?;
        }
        Ok(true)
    }
}
