//! What is told while a model is fetched: as things that happened, as sentences for people, and summed up.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::hub::Event;
use crate::progress::News;
use crate::report::{human_bytes, without_number};

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
    /// What people are told of it; nothing for what only moves a number.
    pub fn sentence(&self) -> Option<String> {
        match self {
            Self::Reading { path } => Some(format!("{path}: is there, and is read")),
            Self::Missing { bytes: 0 } => Some("nothing is to be fetched".into()),
            Self::Missing { .. } | Self::Hub(Event::Bytes { .. } | Event::Finished { .. }) => None,
            Self::Hub(Event::Started { path, total, resumed_from: 0 }) => {
                Some(format!("{path} ({})", human_bytes(*total)))
            }
            Self::Hub(Event::Started { path, total, resumed_from }) => Some(format!(
                "{path} ({}), of which {} are there already",
                human_bytes(*total),
                human_bytes(*resumed_from)
            )),
            Self::Hub(Event::Restarted { path, reason }) => {
                Some(format!("{path} is fetched again: {}", without_number(reason)))
            }
            Self::Hub(Event::Waiting { path, host, wait, reason }) => {
                let reason = without_number(reason);
                Some(format!("waiting {} s for {path} of {host}: {reason}", wait.as_secs().max(1)))
            }
        }
    }
}

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

/// Bytes that are there of what is fetched.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    total: u64,
    files: BTreeMap<Arc<str>, u64>,
}

impl Tally {
    /// Takes in what happened. Whether that changed how many there are.
    pub fn take(&mut self, told: &Told) -> bool {
        let (path, there) = match told {
            Told::Missing { bytes } => {
                self.total = *bytes;
                return false;
            }
            Told::Hub(
                Event::Started { path, resumed_from: there, .. }
                | Event::Bytes { path, done: there, .. }
                | Event::Finished { path, total: there },
            ) => (path, *there),
            Told::Hub(Event::Restarted { path, .. }) => (path, 0),
            Told::Hub(Event::Waiting { .. }) | Told::Reading { .. } => return false,
        };
        self.files.insert(Arc::clone(path), there) != Some(there)
    }

    /// Bytes that there are.
    pub fn done(&self) -> u64 {
        self.files.values().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Bytes that there will be; 0 as long as nobody knows.
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_summed_and_begin_anew_with_their_file() {
        let mut tally = Tally::default();
        let path = |name: &str| -> Arc<str> { name.into() };
        assert!(!tally.take(&Told::Missing { bytes: 50 }));
        assert!(tally.take(&Told::Hub(Event::Started { path: path("a"), total: 30, resumed_from: 10 })));
        assert!(tally.take(&Told::Hub(Event::Finished { path: path("b"), total: 20 })));
        assert!(!tally.take(&Told::Hub(Event::Finished { path: path("b"), total: 20 })));
        assert_eq!((tally.done(), tally.total()), (30, 50));
        let again = Told::Hub(Event::Restarted { path: path("a"), reason: "it is cut (os error 5)".into() });
        assert!(tally.take(&again));
        assert_eq!((tally.done(), again.sentence().unwrap().as_str()), (20, "a is fetched again: it is cut"));
    }
}
