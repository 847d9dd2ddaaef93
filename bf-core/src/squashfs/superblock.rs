//! The first bytes of a squashfs: the superblock and the compressor's options.

use super::{BLOCK, Compression};

/// Bytes of the superblock.
pub(super) const SUPERBLOCK: u64 = 96;

/// In place of a table that there is not.
pub(super) const NO_TABLE: u64 = u64::MAX;

/// Ends of large files are in fragments too.
const ALWAYS_FRAGMENTS: u16 = 1 << 5;
const DUPLICATES_FOUND: u16 = 1 << 6;
const EXPORTABLE: u16 = 1 << 7;
const NO_XATTRS: u16 = 1 << 9;
const COMPRESSOR_OPTIONS: u16 = 1 << 10;

/// What the superblock says that is not always the same.
pub(super) struct Superblock {
    pub(super) compression: Compression,
    pub(super) mtime: u32,
    pub(super) inodes: u32,
    pub(super) fragments: u32,
    pub(super) ids: u16,
    /// A reference to the root's inode.
    pub(super) root: u64,
    /// Bytes without padding.
    pub(super) bytes: u64,
    pub(super) id_table: u64,
    pub(super) xattr_table: u64,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
    pub(super) export_table: u64,
}

impl Superblock {
    /// As it is in the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let compressor: u16 = match self.compression {
            Compression::Gzip(_) => 1,
            Compression::Zstd(_) => 6,
        };
        let mut flags = ALWAYS_FRAGMENTS | DUPLICATES_FOUND | EXPORTABLE;
        if self.xattr_table == NO_TABLE {
            flags |= NO_XATTRS;
        }
        if !compressor_options(self.compression).is_empty() {
            flags |= COMPRESSOR_OPTIONS;
        }
        let log = BLOCK.trailing_zeros();
        let mut out = b"hsqs".to_vec();
        for word in [self.inodes, self.mtime, 1 << log, self.fragments] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        // 17 at most: a block has 1 MiB at most.
        let log = u16::try_from(log).unwrap_or(0);
        for half in [compressor, log, flags, self.ids, 4, 0] {
            out.extend_from_slice(&half.to_le_bytes());
        }
        for long in [
            self.root,
            self.bytes,
            self.id_table,
            self.xattr_table,
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table,
        ] {
            out.extend_from_slice(&long.to_le_bytes());
        }
        out
    }
}

/// What stands behind the superblock when the level is not the one that readers assume. They need nothing of it to
/// read; `unsquashfs -s` shows it, and what appends to an image takes it over.
pub(super) fn compressor_options(compression: Compression) -> Vec<u8> {
    let options = match compression {
        // The levels beyond zlib's have no number in the format: 9 is the nearest, and assumed.
        Compression::Gzip(level @ 1..=8) => {
            let mut options = u32::from(level).to_le_bytes().to_vec();
            // A window of 2^15 bytes, and no strategies to choose from.
            options.extend_from_slice(&[15, 0, 0, 0]);
            options
        }
        Compression::Zstd(level) if level != 15 => level.to_le_bytes().to_vec(),
        _ => return Vec::new(),
    };
    // A metadata block that is stored as it is.
    let header = 0x8000 | u16::try_from(options.len()).unwrap_or(0);
    [header.to_le_bytes().as_slice(), options.as_slice()].concat()
}
