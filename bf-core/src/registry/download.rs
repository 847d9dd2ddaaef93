//! Fetches one blob: goes on where an earlier try ended, hashes what passes, and gives the file its name when it is right.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue, RANGE};
use reqwest::{Method, Url};
use sha2::{Digest as _, Sha256};

use super::call::ask;
use super::endpoint::Endpoint;
use super::error::Fault;
use super::{BlobStore, Event, RegistryError, Repository};
use crate::digest::hex;
use crate::oci::Descriptor;
use crate::web::Fresh;

/// Bytes read at once when hashing what is there.
const CHUNK: usize = 256 * 1024;
/// Bytes between two events.
const STEP: u64 = 1024 * 1024;

/// Who wants to know how much of the file can be read.
pub(super) trait Watcher {
    /// The file, from its beginning on, has so many bytes. It may be fewer than before, if it begins again.
    fn grown(&self, file: &Arc<File>, bytes: u64);
}

/// Nobody.
impl Watcher for () {
    fn grown(&self, _: &Arc<File>, _: u64) {}
}

impl Repository {
    /// Fetches a blob into the store, unless it is there. The file has been verified.
    pub fn fetch(&self, blob: &Descriptor, store: &BlobStore) -> Result<PathBuf, RegistryError> {
        self.fetch_watched(blob, store, &())
    }

    pub(super) fn fetch_watched(
        &self,
        blob: &Descriptor,
        store: &BlobStore,
        watcher: &dyn Watcher,
    ) -> Result<PathBuf, RegistryError> {
        if let Some(path) = store.complete(blob, false)? {
            return Ok(path);
        }
        let file = Arc::new(store.begin(&blob.digest)?);
        // Who had the lock until now may have finished it; then ours is a file of another name.
        if let Some(path) = store.complete(blob, false)? {
            store.discard(&blob.digest)?;
            return Ok(path);
        }
        let mut download = Download {
            repository: self,
            blob,
            watcher,
            file,
            hash: Sha256::new(),
            done: 0,
            told: 0,
            is_mixed: false,
            held: Duration::ZERO,
        };
        download.take_over()?;
        self.tell(Event::Started {
            digest: blob.digest.clone(),
            total: blob.size,
            resumed_from: download.done,
        });
        let what = format!("{} of {}", blob.digest, self.reference.repository());
        let mut furthest = download.done;
        let fetched = self.blob_anywhere(blob, &what, |endpoint, url, retry| {
            download.is_mixed = download.done > 0;
            loop {
                let result = download.go_on(endpoint, url, &what).and_then(|()| download.check(endpoint));
                let Err(fault) = result else { return Ok(()) };
                if let Fault::Final(error @ RegistryError::WrongContent { .. }) = fault {
                    // What came from elsewhere may be what is wrong: then once more, all of it from here.
                    let was_mixed = download.is_mixed;
                    download.restart(&error.to_string())?;
                    if was_mixed {
                        continue;
                    }
                    return Err(error);
                }
                // Not what came a second time: who always begins again would never end.
                let bytes = download.done.saturating_sub(furthest);
                retry.progressed(Fresh { bytes, held: std::mem::take(&mut download.held) });
                furthest = furthest.max(download.done);
                retry.wait(fault)?;
            }
        });
        if let Err(error) = fetched {
            // An empty one is of no use to anybody.
            if download.done == 0 {
                store.discard(&blob.digest)?;
            }
            return Err(error);
        }
        let path = store.finish(&blob.digest, &download.file)?;
        self.tell(Event::Finished { digest: blob.digest.clone(), total: blob.size });
        Ok(path)
    }

    pub(super) fn tell(&self, event: Event) {
        (self.options.progress)(event);
    }
}

/// A blob on its way.
struct Download<'a> {
    repository: &'a Repository,
    blob: &'a Descriptor,
    watcher: &'a dyn Watcher,
    file: Arc<File>,
    /// Of the first `done` bytes.
    hash: Sha256,
    done: u64,
    /// `done` at the last event.
    told: u64,
    /// Whether some of it came from elsewhere: from an earlier run or another host.
    is_mixed: bool,
    /// How long the limit of the bandwidth has held it up since the last fault.
    held: Duration,
}

impl Download<'_> {
    /// Hashes what an earlier run left.
    fn take_over(&mut self) -> Result<(), RegistryError> {
        let length = self.file.metadata()?.len();
        if length > self.blob.size {
            return self.restart("more was there than there can be");
        }
        let mut buffer = vec![0; CHUNK];
        while self.done < length {
            if self.repository.options.cancel.is_cancelled() {
                return Err(RegistryError::Cancelled);
            }
            let wanted = usize::try_from(length - self.done).unwrap_or(CHUNK).min(CHUNK);
            let read = self.file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.done)?;
            if read == 0 {
                break;
            }
            self.hash.update(buffer.get(..read).unwrap_or_default());
            self.done += read as u64;
        }
        self.told = self.done;
        if self.done > 0 {
            self.watcher.grown(&self.file, self.done);
        }
        Ok(())
    }

    /// Begins again.
    fn restart(&mut self, reason: &str) -> Result<(), RegistryError> {
        self.watcher.grown(&self.file, 0);
        self.file.set_len(0)?;
        self.hash = Sha256::new();
        (self.done, self.told, self.is_mixed) = (0, 0, false);
        let digest = self.blob.digest.clone();
        self.repository.tell(Event::Restarted { digest, reason: reason.to_owned() });
        Ok(())
    }

    /// Asks for the rest, and writes it.
    fn go_on(&mut self, endpoint: &Endpoint, url: &Url, what: &str) -> Result<(), Fault> {
        let size = self.blob.size;
        if self.done == size {
            return Ok(());
        }
        let range: Option<(HeaderName, HeaderValue)> = match self.done {
            0 => None,
            from => HeaderValue::try_from(format!("bytes={from}-")).ok().map(|value| (RANGE, value)),
        };
        let headers: Vec<_> = range.into_iter().collect();
        let mut answer = ask(&self.repository.http, endpoint, &Method::GET, url, &headers, what)?;
        let expected = match answer.status().as_u16() {
            206 => {
                if !answer.continues(self.done, size) {
                    self.restart("the registry sent another part than it was asked for")?;
                    return Err(Fault::transient("it sent another part than it was asked for"));
                }
                size - self.done
            }
            416 => {
                self.restart("the registry does not have the rest")?;
                return Err(Fault::transient("it does not have the part that it was asked for"));
            }
            200 => {
                if self.done > 0 {
                    self.restart("the registry cannot go on in the middle")?;
                }
                size
            }
            other => {
                return Err(Fault::transient(format!("it answered {other} where there should be content")));
            }
        };
        if let Some(length) = answer.length().filter(|length| *length > expected) {
            return Err(self
                .wrong(endpoint, format!("it announces {length} bytes, there should be {expected}"))
                .into());
        }
        while let Some(chunk) = answer.chunk()? {
            self.write(endpoint, chunk.as_ref())?;
        }
        if self.done < size {
            return Err(Fault::transient(format!("it ended after {} of {size} bytes", self.done)));
        }
        Ok(())
    }

    fn write(&mut self, endpoint: &Endpoint, bytes: &[u8]) -> Result<(), Fault> {
        let count = bytes.len() as u64;
        if count > self.blob.size - self.done {
            return Err(self.wrong(endpoint, format!("it has more than {} bytes", self.blob.size)).into());
        }
        let path = |error: io::Error| {
            io::Error::new(error.kind(), format!("a part of {}: {error}", self.blob.digest))
        };
        self.file.write_all_at(bytes, self.done).map_err(path)?;
        self.hash.update(bytes);
        self.done += count;
        self.watcher.grown(&self.file, self.done);
        if self.done - self.told >= STEP {
            self.told = self.done;
            let digest = self.blob.digest.clone();
            self.repository.tell(Event::Bytes { digest, done: self.done, total: self.blob.size });
        }
        let pause = self.repository.options.bandwidth.take(count);
        if !pause.is_zero() {
            self.held += pause;
            self.repository.http.sleep(pause)?;
        }
        Ok(())
    }

    /// That what came is what was asked for.
    fn check(&mut self, endpoint: &Endpoint) -> Result<(), Fault> {
        let found = hex(&self.hash.clone().finalize());
        if found == self.blob.digest.hex() {
            return Ok(());
        }
        Err(self.wrong(endpoint, format!("it hashes to sha256:{found}")).into())
    }

    fn wrong(&self, endpoint: &Endpoint, reason: String) -> RegistryError {
        let repository = if endpoint.repository.is_empty() {
            self.repository.reference.repository().to_owned()
        } else {
            endpoint.repository.clone()
        };
        RegistryError::WrongContent {
            registry: endpoint.host.clone(),
            repository,
            digest: self.blob.digest.clone(),
            reason,
        }
    }
}
