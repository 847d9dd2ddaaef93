//! Random moments that can be had again: the seed is printed, and `BF_SEED` sets it.

use std::time::{Duration, SystemTime};

/// A small generator (xorshift64*), good enough to choose moments.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From `BF_SEED`, or from the clock. Prints the seed.
    pub fn new() -> Self {
        let given = std::env::var("BF_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            u64::from(now.subsec_nanos()) ^ (now.as_secs() << 20)
        });
        eprintln!("BF_SEED={seed}");
        Self(seed | 1)
    }

    /// A moment below `limit`.
    pub fn below(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D);
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(value % micros)
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
