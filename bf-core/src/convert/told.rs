//! What is told while an image is made: as things that happened, as sentences for people, and summed up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Progress;
use crate::image::Digest;
use crate::registry::Event;
use crate::report::{human_bytes, without_number};

/// What is told while it is made.
#[derive(Debug, Clone)]
pub enum Told {
    /// What is going to be fetched.
    Found {
        /// What the reference stands for.
        digest: Digest,
        /// Its layers.
        layers: usize,
        /// Their bytes as the registry stores them.
        bytes: u64,
    },
    /// Something of the registry.
    Registry(Event),
    /// How far the layers are.
    Layers(Progress),
}

/// Who is told, from whatever thread.
pub type Teller = Arc<dyn Fn(Told) + Send + Sync>;

impl Told {
    /// What people are told of it; nothing for what only moves a number.
    pub fn sentence(&self) -> Option<String> {
        let event = match self {
            Self::Found { digest, layers, bytes } => {
                let plural = if *layers == 1 { "" } else { "s" };
                return Some(format!(
                    "{}: {} in {layers} layer{plural}",
                    digest.short(),
                    human_bytes(*bytes)
                ));
            }
            Self::Layers(Progress { layer, layers, bytes: 0 }) => {
                return Some(format!("converting layer {layer} of {layers}"));
            }
            Self::Layers(_) => return None,
            Self::Registry(event) => event,
        };
        match event {
            Event::Started { digest, resumed_from: there @ 1.., .. } => {
                Some(format!("layer {}: {} of it are there already", digest.short(), human_bytes(*there)))
            }
            Event::Restarted { digest, reason } => {
                Some(format!("layer {} is fetched again: {reason}", digest.short()))
            }
            Event::Waiting { registry, wait, reason } => {
                let reason = without_number(reason);
                Some(format!("waiting {} s for {registry}: {reason}", wait.as_secs().max(1)))
            }
            Event::Fallback { registry, reason } => {
                let reason = without_number(reason);
                Some(format!("{registry} does not give it, the next one is asked: {reason}"))
            }
            Event::Started { .. } | Event::Bytes { .. } | Event::Finished { .. } => None,
        }
    }
}

/// Bytes of an image that are there, over all its blobs.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    total: u64,
    blobs: BTreeMap<Digest, u64>,
}

impl Tally {
    /// Takes in what happened. Whether that changed how many there are.
    pub fn take(&mut self, told: &Told) -> bool {
        let (digest, there) = match told {
            Told::Found { bytes, .. } => {
                self.total = *bytes;
                return false;
            }
            Told::Registry(
                Event::Started { digest, resumed_from: there, .. }
                | Event::Bytes { digest, done: there, .. }
                | Event::Finished { digest, total: there },
            ) => (digest, *there),
            Told::Registry(Event::Restarted { digest, .. }) => (digest, 0),
            Told::Registry(Event::Waiting { .. } | Event::Fallback { .. }) | Told::Layers(_) => return false,
        };
        self.blobs.insert(digest.clone(), there) != Some(there)
    }

    /// Bytes that there are.
    pub fn done(&self) -> u64 {
        self.blobs.values().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Bytes that there will be; 0 as long as nobody knows.
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn digest(digit: &str) -> Digest {
        format!("sha256:{}", digit.repeat(64)).parse().unwrap()
    }

    #[test]
    fn bytes_are_summed_and_begin_anew_with_their_blob() {
        let mut tally = Tally::default();
        let (a, b) = (digest("a"), digest("b"));
        assert!(!tally.take(&Told::Found { digest: digest("c"), layers: 2, bytes: 50 }));
        assert!(tally.take(&Told::Registry(Event::Started {
            digest: a.clone(),
            total: 30,
            resumed_from: 10
        })));
        assert!(tally.take(&Told::Registry(Event::Finished { digest: b.clone(), total: 20 })));
        assert!(!tally.take(&Told::Registry(Event::Finished { digest: b, total: 20 })));
        assert_eq!((tally.done(), tally.total()), (30, 50));
        tally.take(&Told::Registry(Event::Restarted { digest: a, reason: "it is damaged".into() }));
        assert_eq!(tally.done(), 20);
    }

    #[test]
    fn people_are_told_what_they_wait_for_and_not_each_number() {
        let (registry, reason) = ("q.io".to_owned(), "busy (os error 16)".to_owned());
        let waiting = Told::Registry(Event::Waiting { registry, reason, wait: Duration::from_millis(1) });
        assert_eq!(waiting.sentence().unwrap(), "waiting 1 s for q.io: busy");
        let layers = |bytes| Told::Layers(Progress { layer: 2, layers: 3, bytes }).sentence();
        assert_eq!((layers(0).unwrap().as_str(), layers(1)), ("converting layer 2 of 3", None));
        let started = |resumed_from| {
            Told::Registry(Event::Started { digest: digest("a"), total: 9, resumed_from }).sentence()
        };
        assert_eq!((started(0), started(5).is_some()), (None, true));
    }
}
