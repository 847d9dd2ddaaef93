//! What happens to work, whoever does it.

use std::sync::Arc;
use std::time::Duration;

use crate::report::without_number;

/// What happened. Bytes count what is there; `part` is the path of a file in its model, or `layer 0a1b2c3d4e5f`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// This is being done.
    Says(String),
    /// It cannot go on as it did, and why: people are to see it at once.
    Waits(String),
    /// So many bytes there will be of all.
    Total(u64),
    /// So many bytes more are there.
    More(u64),
    /// So many bytes are there.
    Reached(u64),
    /// A part begins.
    PartBegins {
        /// Which.
        part: Arc<str>,
        /// Its bytes.
        total: u64,
        /// Bytes of it that an earlier run left.
        there: u64,
    },
    /// Some of a part came.
    PartReached {
        /// Which.
        part: Arc<str>,
        /// Bytes of it that are there.
        bytes: u64,
        /// Its bytes.
        total: u64,
    },
    /// What there was of a part could not be used.
    PartRestarts {
        /// Which.
        part: Arc<str>,
        /// Why.
        reason: String,
    },
    /// A part is there.
    PartEnds {
        /// Which.
        part: Arc<str>,
        /// Its bytes.
        total: u64,
    },
}

impl News {
    /// That something is tried again after a while.
    pub fn waiting(wait: Duration, host: &str, reason: &str) -> Self {
        Self::Waits(format!("waiting {} s for {host}: {}", wait.as_secs().max(1), without_number(reason)))
    }
}
