//! When to give up.

use std::time::Duration;

/// Limits of time and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection.
    pub connect: Duration,
    /// Without a byte.
    pub stall: Duration,
    /// Of which an answer must give [`slowest`](Self::slowest) bytes in each: time that was waited for it, not that in which nobody
    /// asked for more.
    pub window: Duration,
    /// Bytes of an answer in each window of waiting.
    pub slowest: u64,
    /// Tries without progress.
    pub tries: u32,
    /// The first pause between tries; each further one is twice as long.
    pub pause: Duration,
    /// The longest pause, whatever the other side asks for.
    pub longest_pause: Duration,
    /// Files that load at once.
    pub at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            stall: Duration::from_mins(1),
            // A kilobyte a second: less than that is no way to fetch anything, and would hold us for ever.
            window: Duration::from_mins(1),
            slowest: 60_000,
            tries: 6,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_mins(5),
            at_once: 4,
        }
    }
}
