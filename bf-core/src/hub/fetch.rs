//! Fetches files of a model, several at once, into a folder of blobs: `<hash>` are complete, `<hash>.partial` and `<hash>.ranges`
//! are on their way.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::claim::Shares;
use super::download::{Claim, Download, Stop};
use super::{Event, FileHash, Hub, HubError, Listing, RemoteFile};
use crate::web::{Retry, WebError};

/// A file that is there, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its path in the model.
    pub path: String,
    /// The name of its blob in the folder: what the Hub says that it hashes to, in hex.
    pub blob: String,
    /// The SHA-256 of its content, in hex.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

impl Hub {
    /// Fetches `files` of a listing into the folder `store`, except those that `have` says are elsewhere already; what an earlier
    /// run left in the folder is used. They are flushed to the disk. Files of the same content are fetched once.
    ///
    /// The folder must be ours alone: who calls this holds a lock.
    ///
    /// # Errors
    /// The first one; what came until then stays in the folder. [`HubError::WrongContent`] if it came wrong twice.
    pub fn fetch(
        &self,
        listing: &Listing,
        files: &[RemoteFile],
        store: &Path,
        have: &dyn Fn(&RemoteFile) -> bool,
    ) -> Result<Vec<Fetched>, HubError> {
        let wanted: Vec<&RemoteFile> = files.iter().filter(|file| !have(file)).collect();
        let mut contents: BTreeMap<&FileHash, &RemoteFile> = BTreeMap::new();
        for file in &wanted {
            contents.entry(&file.hash).or_insert(file);
        }
        if contents.is_empty() {
            return Ok(Vec::new());
        }
        self.refuse_offline(&listing.id.to_string())?;
        fs_err::create_dir_all(store)?;
        let mut waiting: Vec<&RemoteFile> = contents.into_values().collect();
        waiting.sort_by_key(|file| file.bytes);
        let hub = self.part();
        let work = Work {
            hub: &hub,
            listing,
            store,
            queue: Mutex::new(Queue {
                unopened: waiting.iter().map(|file| file.bytes).sum(),
                waiting,
                ..Queue::default()
            }),
            changed: Condvar::new(),
        };
        thread::scope(|scope| {
            for _ in 0..self.options.limits.at_once.max(1) {
                let begun = thread::Builder::new().name("fetch".into()).spawn_scoped(scope, || work.work());
                if let Err(error) = begun {
                    work.fail(error.into());
                }
            }
        });
        let queue = work.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = queue.error {
            return Err(error);
        }
        let fetched = wanted.into_iter().filter_map(|file| {
            let sha256 = queue.finished.get(&file.hash)?.clone();
            Some(Fetched {
                path: file.path.clone(),
                blob: file.hash.hex().to_owned(),
                sha256,
                bytes: file.bytes,
            })
        });
        Ok(fetched.collect())
    }
}

/// What threads do together.
struct Work<'a> {
    hub: &'a Hub,
    listing: &'a Listing,
    store: &'a Path,
    queue: Mutex<Queue<'a>>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue<'a> {
    /// The largest is the last.
    waiting: Vec<&'a RemoteFile>,
    /// Bytes of those, and of files that are being opened.
    unopened: u64,
    active: Vec<Arc<Download<'a>>>,
    /// Files that are being opened.
    opening: usize,
    finished: BTreeMap<FileHash, String>,
    error: Option<HubError>,
}

impl<'a> Work<'a> {
    fn queue(&self) -> MutexGuard<'_, Queue<'a>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let run = || -> Result<(), HubError> {
            while let Some((download, claim)) = self.next()? {
                if let Some(claim) = claim {
                    self.load(&download, claim)?;
                }
                if let Some(sha256) = download.settle()? {
                    let mut queue = self.queue();
                    queue.active.retain(|other| !Arc::ptr_eq(other, &download));
                    queue.finished.insert(download.file.hash.clone(), sha256);
                    drop(queue);
                    let (path, total) = (Arc::clone(download.name()), download.file.bytes);
                    download.tell(Event::Finished { path, total });
                }
                self.changed.notify_all();
            }
            Ok(())
        };
        if let Err(error) = run() {
            self.fail(error);
        }
    }

    /// Ends everything with the first error: the others are about being ended.
    fn fail(&self, error: HubError) {
        self.queue().error.get_or_insert(error);
        self.hub.options.cancel.cancel();
        self.changed.notify_all();
    }

    /// What to do next: a file that nobody has begun, else a part of one that others are at. It waits as long as there may be one.
    #[allow(clippy::type_complexity, reason = "it is used once")]
    fn next(&self) -> Result<Option<(Arc<Download<'a>>, Option<Claim>)>, HubError> {
        let mut queue = self.queue();
        loop {
            if queue.error.is_some() {
                return Ok(None);
            }
            if let Some(file) = queue.waiting.pop() {
                queue.opening += 1;
                drop(queue);
                return self.begin(file).map(Some);
            }
            let shares = self.shares(&queue);
            queue.active.sort_by_key(|download| std::cmp::Reverse(download.unclaimed()));
            for download in &queue.active {
                if let Some(claim) = download.claim(shares)? {
                    return Ok(Some((Arc::clone(download), Some(claim))));
                }
            }
            if queue.active.is_empty() && queue.opening == 0 {
                return Ok(None);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn begin(&self, file: &'a RemoteFile) -> Result<(Arc<Download<'a>>, Option<Claim>), HubError> {
        let download = Arc::new(Download::open(self.hub, self.listing, file, self.store)?);
        let (path, resumed_from) = (Arc::clone(download.name()), download.done());
        download.tell(Event::Started { path, total: file.bytes, resumed_from });
        let mut queue = self.queue();
        queue.opening -= 1;
        queue.unopened -= file.bytes;
        queue.active.push(Arc::clone(&download));
        let claim = download.claim(self.shares(&queue))?;
        drop(queue);
        self.changed.notify_all();
        // While others may be at the rest.
        download.catch_up(true)?;
        Ok((download, claim))
    }

    fn shares(&self, queue: &Queue<'a>) -> Shares {
        let active: u64 = queue.active.iter().map(|download| download.file.bytes - download.done()).sum();
        let limits = self.hub.options.limits;
        Shares {
            left: queue.unopened + active,
            workers: limits.at_once.max(1) as u64,
            part: self.hub.options.part,
        }
    }

    /// Fetches a part, however often it breaks off.
    fn load(&self, download: &Download<'a>, mut claim: Claim) -> Result<(), HubError> {
        let host = &self.hub.host;
        let told = |wait, reason| {
            let (path, host) = (Arc::clone(download.name()), host.clone());
            download.tell(Event::Waiting { path, host, wait, reason });
        };
        let what = format!("{} of {}", download.name(), self.listing.id);
        let mut retry = Retry::new(&self.hub.http, self.hub.options.limits, &told, host, &what);
        loop {
            let result = download.go_on(&mut claim);
            retry.progressed(claim.take_fresh());
            match result {
                Ok(()) => break,
                Err(Stop::Outdated) => return Ok(()),
                Err(Stop::Fault(fault)) => retry.wait::<HubError>(fault)?,
            }
            if self.hub.options.cancel.is_cancelled() {
                return Err(WebError::Cancelled.into());
            }
        }
        download.release(&claim);
        Ok(())
    }
}
