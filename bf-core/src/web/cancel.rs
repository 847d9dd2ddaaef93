//! A flag that ends waiting.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;

/// Once set, everything that waits for the network gives up at once. Clones are the same flag.
#[derive(Debug, Clone)]
pub struct Cancel {
    flag: Arc<Flag>,
}

#[derive(Debug)]
struct Flag {
    set: watch::Sender<bool>,
    /// Those that are set with it.
    below: Mutex<Vec<Weak<Flag>>>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self { flag: Arc::new(Flag { set: watch::Sender::new(false), below: Mutex::default() }) }
    }
}

impl Cancel {
    /// Sets it.
    pub fn cancel(&self) {
        self.flag.set();
    }

    /// Whether it is set.
    pub fn is_cancelled(&self) -> bool {
        *self.flag.set.borrow()
    }

    /// A flag for a part of the work: set when this one is, but not the other way.
    #[must_use]
    pub fn part(&self) -> Self {
        let part = Self::default();
        let mut below = self.flag.below.lock().unwrap_or_else(PoisonError::into_inner);
        below.retain(|flag| flag.strong_count() > 0);
        below.push(Arc::downgrade(&part.flag));
        drop(below);
        // It may have been set in between.
        if self.is_cancelled() {
            part.cancel();
        }
        part
    }

    pub(crate) async fn cancelled(&self) {
        // The sender is held by us, so this only ends when it is set.
        let _ = self.flag.set.subscribe().wait_for(|set| *set).await;
    }
}

impl Flag {
    fn set(&self) {
        self.set.send_replace(true);
        let below = std::mem::take(&mut *self.below.lock().unwrap_or_else(PoisonError::into_inner));
        for flag in below.iter().filter_map(Weak::upgrade) {
            flag.set();
        }
    }
}
