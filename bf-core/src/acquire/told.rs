//! What is told while a model is fetched.

use std::sync::Arc;

use crate::hub::Event;
use crate::progress::News;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A file that the store has is read, to see whether it is right.
    Reading {
        /// Its path in the model.
        path: String,
    },
    /// So much is to be fetched.
    Missing {
        /// Bytes, of which an earlier try may have left some.
        bytes: u64,
    },
    /// Something of the Hub.
    Hub(Event),
}

/// Who is told, from whatever thread.
pub type Teller = Arc<dyn Fn(Told) + Send + Sync>;

impl Told {
    /// The same as what happens to work, whose parts are files.
    pub fn news(&self) -> News {
        match self {
            Self::Reading { path } => News::Says(format!("{path}: is there, and is read")),
            Self::Missing { bytes } => News::Total(*bytes),
            Self::Hub(event) => event.news(),
        }
    }
}
