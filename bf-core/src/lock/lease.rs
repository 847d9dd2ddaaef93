//! The holder's side of a lease: counts up in the claim while it lives, and says in the end that it is free.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::folder::Folder;
use super::record::Record;

/// Keeps a claim alive until it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lease {
    /// Begins to renew the claim `record`.
    pub(super) fn start(folder: Folder, record: Record, renew: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let keep = move || {
            let mut record = record;
            while stopped.recv_timeout(renew) == Err(RecvTimeoutError::Timeout) {
                record.beat += 1;
                // A server that does not answer now may do so the next time. Whether the lock was lost is asked before it matters.
                let _ = folder.rewrite(&record);
            }
            record.beat += 1;
            record.released = true;
            // If this fails, others find us gone or our lease run out.
            let _ = folder.rewrite(&record);
        };
        let thread = std::thread::Builder::new().name("lease".into()).spawn(keep)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
