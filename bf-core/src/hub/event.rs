//! What is told to who waits: how far it is, and why it does not go on.

use std::sync::Arc;
use std::time::Duration;

use crate::progress::News;
use crate::report::without_number;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A file begins to load.
    Started {
        /// Its path in the model.
        path: Arc<str>,
        /// Its bytes.
        total: u64,
        /// Bytes that an earlier run left.
        resumed_from: u64,
    },
    /// Some of it came. Told every mebibyte.
    Bytes {
        /// Its path in the model.
        path: Arc<str>,
        /// Bytes that are there, wherever in the file.
        done: u64,
        /// Its bytes.
        total: u64,
    },
    /// What there was could not be used; it begins again.
    Restarted {
        /// Its path in the model.
        path: Arc<str>,
        /// Why.
        reason: String,
    },
    /// It is there, and is what the Hub says that it is.
    Finished {
        /// Its path in the model.
        path: Arc<str>,
        /// Its bytes.
        total: u64,
    },
    /// Something went wrong, and is tried again after a while.
    Waiting {
        /// What is asked for: the path of a file in the model, or the model.
        path: Arc<str>,
        /// Who is asked.
        host: String,
        /// How long.
        wait: Duration,
        /// Why.
        reason: String,
    },
}

impl Event {
    /// The same as what happens to work, whose parts are files.
    pub fn news(&self) -> News {
        match self {
            Self::Started { path, total, resumed_from } => {
                News::PartBegins { part: Arc::clone(path), total: *total, there: *resumed_from }
            }
            Self::Bytes { path, done, total } => {
                News::PartReached { part: Arc::clone(path), bytes: *done, total: *total }
            }
            Self::Restarted { path, reason } => {
                News::PartRestarts { part: Arc::clone(path), reason: without_number(reason) }
            }
            Self::Finished { path, total } => News::PartEnds { part: Arc::clone(path), total: *total },
            Self::Waiting { host, wait, reason, .. } => News::waiting(*wait, host, reason),
        }
    }
}

/// Who is told. It is called from several threads and must not wait.
pub type Progress = Arc<dyn Fn(Event) + Send + Sync>;

/// Tells nobody.
pub fn silent() -> Progress {
    Arc::new(|_| {})
}
