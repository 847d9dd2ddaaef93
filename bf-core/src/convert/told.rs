//! What is told while an image is made.

use std::sync::Arc;

use super::Progress;
use crate::image::Digest;
use crate::progress::News;
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
    /// The same as what happens to work: its parts are blobs, which are mostly layers.
    pub fn news(&self) -> Vec<News> {
        let event = match self {
            Self::Found { digest, layers, bytes } => {
                let plural = if *layers == 1 { "" } else { "s" };
                let bytes_of = human_bytes(*bytes);
                let text = format!("{}: {bytes_of} in {layers} layer{plural}", digest.short());
                return vec![News::Total(*bytes), News::Says(text)];
            }
            Self::Layers(Progress { layer, layers, bytes: 0 }) => {
                return vec![News::Says(format!("converting layer {layer} of {layers}"))];
            }
            Self::Layers(_) => return Vec::new(),
            Self::Registry(event) => event,
        };
        let part = |digest: &Digest| Arc::from(format!("layer {}", digest.short()));
        vec![match event {
            Event::Started { digest, total, resumed_from: there } => {
                News::PartBegins { part: part(digest), total: *total, there: *there }
            }
            Event::Bytes { digest, done: bytes, total } => {
                News::PartReached { part: part(digest), bytes: *bytes, total: *total }
            }
            Event::Restarted { digest, reason } => {
                News::PartRestarts { part: part(digest), reason: without_number(reason) }
            }
            Event::Finished { digest, total } => News::PartEnds { part: part(digest), total: *total },
            Event::Waiting { registry, wait, reason } => News::waiting(*wait, registry, reason),
            Event::Fallback { registry, reason } => {
                let reason = without_number(reason);
                News::Waits(format!("{registry} does not give it, the next one is asked: {reason}"))
            }
        }]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn people_are_told_what_they_wait_for_and_not_each_number() {
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let (registry, reason) = ("q.io".to_owned(), "busy (os error 16)".to_owned());
        let waiting = Told::Registry(Event::Waiting { registry, reason, wait: Duration::from_millis(1) });
        assert_eq!(waiting.news(), [News::Waits("waiting 1 s for q.io: busy".into())]);
        let layers = |bytes| Told::Layers(Progress { layer: 2, layers: 3, bytes }).news();
        assert_eq!((layers(0), layers(1)), (vec![News::Says("converting layer 2 of 3".into())], vec![]));
        let started = Told::Registry(Event::Started { digest: digest.clone(), total: 9, resumed_from: 5 });
        assert_eq!(
            started.news(),
            [News::PartBegins { part: "layer aaaaaaaaaaaa".into(), total: 9, there: 5 }]
        );
        assert_eq!(Told::Found { digest, layers: 2, bytes: 50 }.news()[0], News::Total(50));
    }
}
