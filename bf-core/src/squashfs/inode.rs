//! The bytes of inodes, short where the short form can say it.

use super::directory::Listing;
use super::metadata::Place;
use super::store::{Blocks, Stored};
use super::{BLOCK, Kind, xattr};

/// What each inode begins with, and what makes it a long one.
pub(super) struct Head {
    pub(super) mode: u16,
    pub(super) uid: u16,
    pub(super) gid: u16,
    pub(super) mtime: u32,
    pub(super) number: u32,
    pub(super) links: u32,
    /// The number of a set, or [`xattr::NONE`].
    pub(super) xattrs: u32,
}

/// From the number of a basic inode to that of the extended one.
const EXTENDED: u16 = 7;

/// That a file has no fragment.
const NO_FRAGMENT: u32 = u32::MAX;

/// The number of a basic inode, which names of it have too.
pub(super) fn kind(kind: &Kind) -> u16 {
    match kind {
        Kind::Directory(_) => 1,
        Kind::File(_) => 2,
        Kind::Symlink(_) => 3,
        Kind::Block(..) => 4,
        Kind::Character(..) => 5,
        Kind::Fifo => 6,
        Kind::Socket => 7,
    }
}

impl Head {
    fn has_xattrs(&self) -> bool {
        self.xattrs != xattr::NONE
    }

    fn begin(&self, basic: u16, extended: bool) -> Vec<u8> {
        let kind = if extended { basic + EXTENDED } else { basic };
        let mut out = Vec::with_capacity(64);
        halves(&mut out, &[kind, self.mode, self.uid, self.gid]);
        words(&mut out, &[self.mtime, self.number]);
        out
    }

    /// A folder. `parent` is the number of the one it is in. Nothing when it has too many entries.
    pub(super) fn directory(&self, listing: &Listing, parent: u32) -> Option<Vec<u8>> {
        // `.` and `..` are not stored, but counted with a byte and a half each.
        let size = u32::try_from(listing.bytes + 3).ok()?;
        let Place { block, offset } = listing.place;
        Some(match u16::try_from(size) {
            Ok(size) if !self.has_xattrs() && listing.indexed == 0 => {
                let mut out = self.begin(1, false);
                words(&mut out, &[block, self.links]);
                halves(&mut out, &[size, offset]);
                words(&mut out, &[parent]);
                out
            }
            _ => {
                let mut out = self.begin(1, true);
                words(&mut out, &[self.links, size, block, parent]);
                halves(&mut out, &[listing.indexed, offset]);
                words(&mut out, &[self.xattrs]);
                out.extend_from_slice(&listing.index);
                out
            }
        })
    }

    /// A regular file; the sizes of its blocks come behind it.
    pub(super) fn file(&self, stored: &Stored, blocks: Option<Blocks>) -> Vec<u8> {
        let (start, holes) = blocks.map_or((0, 0), |blocks| (blocks.start, blocks.holes));
        let (fragment, offset) = stored.tail.map_or((NO_FRAGMENT, 0), |tail| (tail.fragment, tail.offset));
        match (u32::try_from(start), u32::try_from(stored.size)) {
            (Ok(start), Ok(size)) if holes == 0 && self.links == 1 && !self.has_xattrs() => {
                let mut out = self.begin(2, false);
                words(&mut out, &[start, fragment, offset, size]);
                out
            }
            _ => {
                // One less than all: older kernels take one byte away again, and would count from below zero.
                let sparse = (u64::from(holes) * BLOCK as u64).min(stored.size.saturating_sub(1));
                let mut out = self.begin(2, true);
                for long in [start, stored.size, sparse] {
                    out.extend_from_slice(&long.to_le_bytes());
                }
                words(&mut out, &[self.links, fragment, offset, self.xattrs]);
                out
            }
        }
    }

    /// A symbolic link; its text was checked.
    pub(super) fn symlink(&self, text: &[u8]) -> Vec<u8> {
        let mut out = self.begin(3, self.has_xattrs());
        words(&mut out, &[self.links, u32::try_from(text.len()).unwrap_or(0)]);
        out.extend_from_slice(text);
        self.end(out)
    }

    /// A device. Nothing when its numbers are larger than Linux has them.
    pub(super) fn device(&self, basic: u16, major: u32, minor: u32) -> Option<Vec<u8>> {
        if major >= 1 << 12 || minor >= 1 << 20 {
            return None;
        }
        let mut out = self.begin(basic, self.has_xattrs());
        words(&mut out, &[self.links, (minor & 0xff) | major << 8 | (minor & !0xff) << 12]);
        Some(self.end(out))
    }

    /// A named pipe or a socket.
    pub(super) fn pipe(&self, basic: u16) -> Vec<u8> {
        let mut out = self.begin(basic, self.has_xattrs());
        words(&mut out, &[self.links]);
        self.end(out)
    }

    fn end(&self, mut out: Vec<u8>) -> Vec<u8> {
        if self.has_xattrs() {
            words(&mut out, &[self.xattrs]);
        }
        out
    }
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

fn halves(out: &mut Vec<u8>, halves: &[u16]) {
    out.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
}
