//! One file on its way: its parts, what it hashes to, and beginning again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use reqwest::Url;

use super::call::Wanted;
use super::claim::Shares;
use super::error::Fault;
use super::hash::FileHasher;
use super::spans::{self, Spans};
use super::{Event, Hub, HubError, Listing, RemoteFile};
use crate::web::Fresh;

/// Bytes read at once when hashing what is there.
const CHUNK: usize = 256 * 1024;
/// Bytes between two events.
const STEP: u64 = 1024 * 1024;

/// A file. Several threads write parts of it.
pub(super) struct Download<'a> {
    hub: &'a Hub,
    listing: &'a Listing,
    pub(super) file: &'a RemoteFile,
    name: Arc<str>,
    url: Url,
    partial: PathBuf,
    complete: PathBuf,
    out: File,
    /// How often it began again. Held for reading by who writes, so that nobody writes what belongs to an earlier time.
    time: RwLock<u64>,
    spans: Mutex<Spans>,
    /// Of the first bytes. Where it is taken together with `spans`, it is taken first.
    hash: Mutex<FileHasher>,
    /// Whether its server cannot send parts.
    is_indivisible: AtomicBool,
    was_wrong: AtomicBool,
    told: AtomicU64,
    /// The most bytes that were ever there.
    furthest: AtomicU64,
}

/// A part of it that one thread writes.
#[derive(Debug)]
pub(super) struct Claim {
    start: u64,
    at: u64,
    end: u64,
    time: u64,
    /// What came of it since it was asked.
    fresh: Fresh,
}

impl Claim {
    fn new((start, end): (u64, u64), time: u64) -> Self {
        Self { start, at: start, end, time, fresh: Fresh::default() }
    }

    /// What came of it since this was asked the last time.
    pub(super) fn take_fresh(&mut self) -> Fresh {
        std::mem::take(&mut self.fresh)
    }
}

/// Why a part does not come.
pub(super) enum Stop {
    /// The file has begun again without us.
    Outdated,
    Fault(Fault),
}

impl<E: Into<Fault>> From<E> for Stop {
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

impl<'a> Download<'a> {
    /// Opens what an earlier run left in the folder, or begins.
    pub(super) fn open(
        hub: &'a Hub,
        listing: &'a Listing,
        file: &'a RemoteFile,
        store: &Path,
    ) -> Result<Self, HubError> {
        let name = file.hash.hex();
        let partial = store.join(format!("{name}.partial"));
        let complete = store.join(name);
        // Whether it is right is found out as for any other rest.
        if fs_err::symlink_metadata(&complete).is_ok() {
            fs_err::rename(&complete, &partial)?;
        }
        let out = spans::open(&partial)?;
        let length = out.metadata()?.len();
        let mut spans =
            Spans::load(&store.join(format!("{name}.ranges")), file.bytes, length.min(file.bytes))?;
        if length > file.bytes {
            out.set_len(0)?;
            spans.clear()?;
        }
        let done = spans.done();
        Ok(Self {
            hub,
            listing,
            file,
            name: file.path.as_str().into(),
            url: hub.options.endpoint.file(&listing.id, &listing.commit, &file.path),
            partial,
            complete,
            out,
            time: RwLock::new(0),
            spans: Mutex::new(spans),
            hash: Mutex::new(FileHasher::new(file)),
            is_indivisible: AtomicBool::new(false),
            was_wrong: AtomicBool::new(false),
            told: AtomicU64::new(done),
            furthest: AtomicU64::new(done),
        })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn tell(&self, event: Event) {
        (self.hub.options.progress)(event);
    }

    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self) -> MutexGuard<'_, FileHasher> {
        self.hash.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that are there.
    pub(super) fn done(&self) -> u64 {
        self.spans().done()
    }

    /// Bytes that nobody fetches yet.
    pub(super) fn unclaimed(&self) -> u64 {
        self.spans().unclaimed()
    }

    /// Takes a part of it, if there is one.
    pub(super) fn claim(&self, shares: Shares) -> io::Result<Option<Claim>> {
        let time = self.time.read().unwrap_or_else(PoisonError::into_inner);
        let mut spans = self.spans();
        let most = if self.is_indivisible.load(Ordering::Relaxed) {
            u64::MAX
        } else {
            shares.take(self.file.bytes, spans.unclaimed())
        };
        let claimed = spans.claim(most)?;
        Ok(claimed.map(|part| Claim::new(part, *time)))
    }

    /// Gives back what of a part was not written.
    pub(super) fn release(&self, claim: &Claim) {
        let time = self.time.read().unwrap_or_else(PoisonError::into_inner);
        if *time == claim.time {
            self.spans().release(claim.start);
        }
    }

    /// Asks for the rest of a part, and writes it.
    pub(super) fn go_on(&self, claim: &mut Claim) -> Result<(), Stop> {
        if *self.time.read().unwrap_or_else(PoisonError::into_inner) != claim.time {
            return Err(Stop::Outdated);
        }
        if claim.at == claim.end {
            return Ok(());
        }
        let size = self.file.bytes;
        let range = ((claim.at, claim.end) != (0, size)).then_some((claim.at, claim.end));
        let mut answer = self.hub.ask(&self.url, range, Wanted::File(self.listing, self.file))?;
        match answer.status().as_u16() {
            206 if answer.continues(claim.at, size) => {}
            200 if range.is_none() => {}
            200 => {
                let begun = self.restart(claim.time, "the server cannot go on in the middle", true)?;
                *claim = begun.ok_or(Stop::Outdated)?;
            }
            status => {
                let reason = match status {
                    206 => "it sent another part than it was asked for",
                    416 => "it does not have the part that it was asked for",
                    _ => "it answered without content",
                };
                let begun = self.restart(claim.time, reason, true)?;
                *claim = begun.ok_or(Stop::Outdated)?;
                return Err(Fault::transient(reason).into());
            }
        }
        let is_part = answer.status() == 206;
        if let Some(length) = answer.length().filter(|length| !is_part && *length > size) {
            return Err(self.wrong(format!("it announces {length} bytes, there should be {size}")).into());
        }
        while claim.at < claim.end {
            let Some(chunk) = answer.chunk()? else {
                let (at, end) = (claim.at - claim.start, claim.end - claim.start);
                return Err(Fault::transient(format!("it ended after {at} of {end} bytes")).into());
            };
            self.write(claim, chunk.as_ref())?;
        }
        Ok(())
    }

    fn write(&self, claim: &mut Claim, bytes: &[u8]) -> Result<(), Stop> {
        let left = claim.end - claim.at;
        if bytes.len() as u64 > left && claim.end == self.file.bytes {
            return Err(self.wrong(format!("it has more than {} bytes", self.file.bytes)).into());
        }
        // Who was asked for a part may send more than that.
        let bytes = bytes.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(bytes);
        let time = self.time.read().unwrap_or_else(PoisonError::into_inner);
        if *time != claim.time {
            return Err(Stop::Outdated);
        }
        self.out.write_all_at(bytes, claim.at).map_err(|error| self.named(&error))?;
        if let Ok(mut hash) = self.hash.try_lock()
            && hash.at() == claim.at
        {
            hash.update(bytes);
        }
        let count = bytes.len() as u64;
        let done = self.spans().advance(claim.start, count).map_err(|error| self.named(&error))?;
        drop(time);
        claim.at += count;
        // Not what came a second time: who always begins again would never end.
        let furthest = self.furthest.fetch_max(done, Ordering::Relaxed);
        claim.fresh.bytes += count.min(done.saturating_sub(furthest));
        let told = self.told.load(Ordering::Relaxed);
        if done >= told.saturating_add(STEP)
            && self.told.compare_exchange(told, done, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.tell(Event::Bytes { path: Arc::clone(&self.name), done, total: self.file.bytes });
        }
        let pause = self.hub.options.bandwidth.take(count);
        if !pause.is_zero() {
            claim.fresh.held += pause;
            self.hub.http.sleep(pause)?;
        }
        Ok(())
    }

    /// Begins again, unless that has happened since `time`. All of it is the caller's then, if he wants it.
    fn restart(&self, time: u64, reason: &str, claims: bool) -> io::Result<Option<Claim>> {
        let mut now = self.time.write().unwrap_or_else(PoisonError::into_inner);
        if *now != time {
            return Ok(None);
        }
        *now += 1;
        self.out.set_len(0)?;
        self.spans().clear()?;
        *self.hash() = FileHasher::new(self.file);
        self.told.store(0, Ordering::Relaxed);
        self.tell(Event::Restarted { path: Arc::clone(&self.name), reason: reason.to_owned() });
        if !claims {
            return Ok(None);
        }
        self.is_indivisible.store(true, Ordering::Relaxed);
        let claimed = self.spans().claim(u64::MAX)?;
        Ok(claimed.map(|part| Claim::new(part, *now)))
    }

    /// Hashes what is written and not hashed yet, as far as there is no gap; not if somebody else is at it and `waits` is not set.
    pub(super) fn catch_up(&self, waits: bool) -> Result<(), HubError> {
        let mut hash = match self.hash.try_lock() {
            Ok(hash) => hash,
            Err(_) if waits => self.hash(),
            Err(_) => return Ok(()),
        };
        let mut buffer = Vec::new();
        loop {
            let at = hash.at();
            let there = self.spans().written_from(at) - at;
            if there == 0 {
                return Ok(());
            }
            if self.hub.options.cancel.is_cancelled() {
                return Err(crate::web::WebError::Cancelled.into());
            }
            buffer.resize(CHUNK, 0);
            let wanted = usize::try_from(there).unwrap_or(CHUNK).min(CHUNK);
            let read = self.out.read_at(buffer.get_mut(..wanted).unwrap_or_default(), at);
            let read = read.map_err(|error| self.named(&error))?;
            if read == 0 {
                // It was cut off by somebody else, or begins again just now.
                return Ok(());
            }
            hash.update(buffer.get(..read).unwrap_or_default());
        }
    }

    /// Gives it its name if all of it is there: its SHA-256, to the one thread that did so.
    pub(super) fn settle(&self) -> Result<Option<String>, HubError> {
        let time = *self.time.read().unwrap_or_else(PoisonError::into_inner);
        let is_ours = self.spans().finish();
        self.catch_up(is_ours)?;
        if !is_ours {
            return Ok(None);
        }
        let verdict = self.hash().verdict(self.file);
        match verdict {
            Ok(sha256) => {
                self.out.sync_data().map_err(|error| self.named(&error))?;
                fs_err::rename(&self.partial, &self.complete)?;
                self.spans().remove_journal()?;
                Ok(Some(sha256))
            }
            Err(reason) if self.was_wrong.swap(true, Ordering::Relaxed) => {
                self.spans().remove_journal()?;
                fs_err::remove_file(&self.partial)?;
                Err(self.wrong(reason))
            }
            // What an earlier run left may be what is wrong, or one of many connections: then once more, all of it.
            Err(reason) => {
                self.restart(time, &reason, false)?;
                Ok(None)
            }
        }
    }

    fn wrong(&self, reason: String) -> HubError {
        self.hub.wrong(self.listing, self.file, reason)
    }

    pub(super) fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{} ({}): {error}", self.partial.display(), self.name))
    }
}
