//! What is told to who waits: how far it is, and why it does not go on.

use std::sync::Arc;
use std::time::Duration;

use crate::image::Digest;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A blob begins to load.
    Started {
        /// Which.
        digest: Digest,
        /// Its bytes.
        total: u64,
        /// Bytes that an earlier run left.
        resumed_from: u64,
    },
    /// Some of it came. Told every mebibyte.
    Bytes {
        /// Which.
        digest: Digest,
        /// Bytes that are there.
        done: u64,
        /// Its bytes.
        total: u64,
    },
    /// What there was could not be used; it begins again.
    Restarted {
        /// Which.
        digest: Digest,
        /// Why.
        reason: String,
    },
    /// It is there, and is what its digest says.
    Finished {
        /// Which.
        digest: Digest,
        /// Its bytes.
        total: u64,
    },
    /// Something went wrong, and is tried again after a while.
    Waiting {
        /// The host.
        registry: String,
        /// How long.
        wait: Duration,
        /// Why.
        reason: String,
    },
    /// A mirror or another address did not give something; the next one is asked.
    Fallback {
        /// The host that failed.
        registry: String,
        /// Why.
        reason: String,
    },
}

/// Who is told. It is called from several threads and must not wait.
pub type Progress = Arc<dyn Fn(Event) + Send + Sync>;

/// Tells nobody.
pub fn silent() -> Progress {
    Arc::new(|_| {})
}
