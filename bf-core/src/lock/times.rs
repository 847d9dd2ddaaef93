//! How long things take: beats, leases, caches.

use std::time::Duration;

/// The times of a lock, which all its users must agree on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The holder writes into its claim this often.
    pub(super) renew: Duration,
    /// A claim that was not written for longer may be of a dead owner.
    pub(super) lease: Duration,
    /// How long a client of a filesystem may show what is no longer so. NFS caches attributes of files for up to 60 s, but asks
    /// again when a file is opened, which we do; FUSE filesystems that do not ask commonly have up to 30 s.
    pub(super) cache: Duration,
    /// Who waits looks this often.
    pub(super) poll: Duration,
}

impl Times {
    /// Those of every cache.
    pub(super) const REAL: Self = Self {
        renew: Duration::from_secs(5),
        lease: Duration::from_secs(45),
        cache: Duration::from_secs(30),
        poll: Duration::from_secs(1),
    };

    /// How long a claim whose lease has run out must be seen unchanged: a holder who lives would have been seen to, twice.
    pub(super) fn watch(&self) -> Duration {
        self.cache + self.renew * 2
    }

    /// How long a claim must be seen unchanged whatever the file server's clock says.
    pub(super) fn watch_without_clock(&self) -> Duration {
        self.lease + self.cache
    }
}
