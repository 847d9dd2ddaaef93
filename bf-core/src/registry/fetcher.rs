//! Fetches the blobs of an image, several at once and in a given order, while others already use the first ones.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::growing::{Growing, State};
use super::{BlobReader, BlobStore, Cancel, RegistryError, Repository};
use crate::image::Digest;
use crate::oci::{Descriptor, OciError, Verified};
use crate::report::{Explain, Failure};

/// Threads that fetch. When it is dropped they are stopped and waited for; what they have got stays in the store.
#[derive(Debug)]
pub struct Fetcher {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    repository: Repository,
    store: BlobStore,
    waiting: Mutex<VecDeque<Descriptor>>,
    blobs: HashMap<Digest, (Descriptor, Arc<Growing>)>,
    cancel: Cancel,
}

impl Fetcher {
    /// Begins to fetch `blobs`, the first ones first, each digest once. The first error ends all of it.
    pub fn start(
        repository: &Repository,
        store: BlobStore,
        blobs: &[Descriptor],
    ) -> Result<Self, RegistryError> {
        let mut known: HashMap<Digest, (Descriptor, Arc<Growing>)> = HashMap::new();
        let mut waiting = VecDeque::new();
        for blob in blobs {
            match known.get(&blob.digest) {
                Some((other, _)) if other.size != blob.size => {
                    let name = repository.reference.to_string();
                    let reason = format!("it has two sizes of {}", blob.digest);
                    return Err(OciError::Malformed { name, what: "manifest", reason }.into());
                }
                Some(_) => {}
                None => {
                    known.insert(blob.digest.clone(), (blob.clone(), Arc::new(Growing::new())));
                    waiting.push_back(blob.clone());
                }
            }
        }
        let repository = repository.part();
        let (cancel, at_once) = (repository.options.cancel.clone(), repository.options.limits.at_once.max(1));
        let count = at_once.min(waiting.len());
        let shared =
            Arc::new(Shared { repository, store, waiting: Mutex::new(waiting), blobs: known, cancel });
        let mut fetcher = Self { shared, threads: Vec::with_capacity(count) };
        for _ in 0..count {
            let shared = Arc::clone(&fetcher.shared);
            // Those that have begun are ended by dropping it.
            fetcher.threads.push(thread::Builder::new().name("fetch".into()).spawn(move || shared.work())?);
        }
        Ok(fetcher)
    }

    /// Waits for a blob: its file, complete and verified.
    pub fn wait(&self, digest: &Digest) -> Result<PathBuf, Failure> {
        self.blob(digest)?.1.wait()
    }

    /// Reads a blob from its first byte on, also while it still loads. At its end, what was read has been compared with the digest.
    pub fn open(&self, digest: &Digest) -> Result<Verified<BlobReader>, Failure> {
        let (descriptor, growing) = self.blob(digest)?;
        Ok(Verified::new(BlobReader::new(Arc::clone(growing)), descriptor.clone()))
    }

    /// Why it ended, unless it was stopped.
    pub(super) fn failed(&self, digest: &Digest) -> Option<Failure> {
        let failed = self.shared.blobs.get(digest)?.1.failed()?;
        (failed.code != RegistryError::Cancelled.code()).then_some(failed)
    }

    /// Whether a blob began again after some of it had been read.
    pub(super) fn is_mistaken(&self, digest: &Digest) -> bool {
        self.shared.blobs.get(digest).is_some_and(|(_, growing)| growing.is_mistaken())
    }

    /// Stops it; who waits gets an error.
    pub fn cancel(&self) {
        self.shared.fail(&RegistryError::Cancelled.into());
    }

    fn blob(&self, digest: &Digest) -> Result<&(Descriptor, Arc<Growing>), RegistryError> {
        self.shared.blobs.get(digest).ok_or_else(|| RegistryError::NotFetched { digest: digest.clone() })
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.cancel();
        for thread in self.threads.drain(..) {
            // What it had to say it has said to those who waited.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        while let Some(blob) = self.next() {
            let Some((_, growing)) = self.blobs.get(&blob.digest) else { continue };
            match self.repository.fetch_watched(&blob, &self.store, growing.as_ref()) {
                Ok(path) => growing.set(State::Done(path)),
                Err(error) => return self.fail(&error.into()),
            }
        }
    }

    fn next(&self) -> Option<Descriptor> {
        if self.cancel.is_cancelled() {
            return None;
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Ends everything with the first error: the others are about being ended.
    fn fail(&self, failure: &Failure) {
        for (_, growing) in self.blobs.values() {
            growing.fail(failure);
        }
        self.cancel.cancel();
    }
}
