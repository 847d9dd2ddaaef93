//! Reads a blob while it is still being written.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::download::Watcher;
use crate::report::Failure;

/// How far a blob is.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// It waits for its turn.
    Queued,
    /// So many bytes of the file can be read.
    Loading(Arc<File>, u64),
    /// It is there, and right.
    Done(PathBuf),
    /// It will not come.
    Failed(Failure),
}

/// A blob that one thread fetches and others wait for.
#[derive(Debug)]
pub(super) struct Growing {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether somebody has read of it.
    is_read: AtomicBool,
    /// Whether it began again after that.
    is_mistaken: AtomicBool,
}

impl Growing {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State::Queued),
            changed: Condvar::new(),
            is_read: AtomicBool::new(false),
            is_mistaken: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, state: State) {
        *self.state() = state;
        self.changed.notify_all();
    }

    /// Fails it, unless it has ended.
    pub(super) fn fail(&self, failure: &Failure) {
        let mut state = self.state();
        if !matches!(*state, State::Done(_) | State::Failed(_)) {
            *state = State::Failed(failure.clone());
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Whether it began again when some of it had been read: that may have been something else than what came then.
    pub(super) fn is_mistaken(&self) -> bool {
        self.is_mistaken.load(Ordering::SeqCst)
    }

    /// Why it will not come, if that is known.
    pub(super) fn failed(&self) -> Option<Failure> {
        match &*self.state() {
            State::Failed(failure) => Some(failure.clone()),
            State::Queued | State::Loading(..) | State::Done(_) => None,
        }
    }

    /// Waits until something can be said.
    fn until<T>(&self, mut known: impl FnMut(&State) -> Option<T>) -> T {
        let mut state = self.state();
        loop {
            if let Some(found) = known(&state) {
                return found;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the whole of it.
    pub(super) fn wait(&self) -> Result<PathBuf, Failure> {
        self.until(|state| match state {
            State::Done(path) => Some(Ok(path.clone())),
            State::Failed(failure) => Some(Err(failure.clone())),
            State::Queued | State::Loading(..) => None,
        })
    }
}

impl Watcher for Growing {
    fn grown(&self, file: &Arc<File>, bytes: u64) {
        if bytes == 0 && self.is_read.load(Ordering::SeqCst) {
            self.is_mistaken.store(true, Ordering::SeqCst);
        }
        self.set(State::Loading(Arc::clone(file), bytes));
    }
}

/// The bytes of a blob; it waits for those that are still on their way.
///
/// It ends only when the file is complete and verified. A download that begins again does not show: bytes that were read are
/// not read again, so whoever wraps this must hash what it read, as [`crate::oci::Verified`] does.
#[derive(Debug)]
pub struct BlobReader {
    blob: Arc<Growing>,
    file: Option<Arc<File>>,
    at: u64,
}

impl BlobReader {
    pub(super) fn new(blob: Arc<Growing>) -> Self {
        Self { blob, file: None, at: 0 }
    }
}

/// What there is to read.
enum Ready {
    /// Up to this byte.
    Part(Arc<File>, u64),
    Whole(PathBuf),
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let at = self.at;
            let ready = self.blob.until(|state| match state {
                State::Loading(file, bytes) if *bytes > at => Some(Ok(Ready::Part(Arc::clone(file), *bytes))),
                State::Queued | State::Loading(..) => None,
                State::Done(path) => Some(Ok(Ready::Whole(path.clone()))),
                State::Failed(failure) => Some(Err(io::Error::other(failure.clone()))),
            })?;
            match ready {
                Ready::Part(file, bytes) => {
                    self.blob.is_read.store(true, Ordering::SeqCst);
                    let wanted = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(buffer.len());
                    let read = file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), at)?;
                    self.file = Some(file);
                    if read > 0 || buffer.is_empty() {
                        self.at += read as u64;
                        return Ok(read);
                    }
                    // It has begun again just now; the state will say so.
                    std::thread::yield_now();
                }
                Ready::Whole(path) => {
                    let file = match &self.file {
                        Some(file) => Arc::clone(file),
                        None => Arc::new(fs_err::File::open(path)?.into_parts().0),
                    };
                    let read = file.read_at(buffer, at)?;
                    self.file = Some(file);
                    self.at += read as u64;
                    return Ok(read);
                }
            }
        }
    }
}
