//! How much of a file one connection takes at once.

/// The most that is asked for at once of a file that several connections share, in bytes: the rest of them is not waited for long.
const MOST: u64 = 256 * 1024 * 1024;
/// Parts of a file, below which it is fetched in one.
const PARTS: u64 = 4;

/// What is to be fetched altogether, and by how many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// Bytes that are missing.
    pub(super) left: u64,
    /// Connections.
    pub(super) workers: u64,
    /// The smallest part, in bytes.
    pub(super) part: u64,
}

impl Shares {
    /// How many bytes to take of a file that has `size`, of which `unclaimed` are nobody's: all, if that is about one connection's
    /// share of what is left, else a part. Parts get smaller to the end, so that all connections end at about the same time.
    pub(super) fn take(self, size: u64, unclaimed: u64) -> u64 {
        let fair = self.left / self.workers.max(1);
        if unclaimed <= fair.saturating_add(fair / 4) || size / PARTS < self.part {
            return u64::MAX;
        }
        (fair / 4).clamp(self.part.max(1), MOST.max(self.part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn equal_files_are_not_split_and_one_file_is() {
        let shares = |left, workers| Shares { left, workers, part: 8 * MIB };
        assert_eq!(shares(8 * 500 * MIB, 8).take(500 * MIB, 500 * MIB), u64::MAX);
        assert_eq!(shares(4000 * MIB, 8).take(4000 * MIB, 4000 * MIB), 125 * MIB);
        assert_eq!(shares(40 * MIB, 8).take(4000 * MIB, 40 * MIB), 8 * MIB);
        assert_eq!(shares(1 << 40, 8).take(1 << 40, 1 << 40), MOST);
        assert_eq!(shares(31 * MIB, 8).take(31 * MIB, 31 * MIB), u64::MAX, "too small");
        assert_eq!(shares(4000 * MIB, 1).take(4000 * MIB, 4000 * MIB), u64::MAX, "nobody to share with");
    }
}
