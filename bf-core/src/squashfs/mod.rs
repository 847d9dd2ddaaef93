//! Squashfs 4.0, as the kernel and squashfuse read it: what a SIF holds, written by several threads in one pass.
//!
//! The caller pushes the contents of files through a [`Writer`] in any order, builds a [`Tree`] that says which
//! inode has which content, and gives the tree to [`Writer::finish`]. The same calls give the same bytes,
//! whatever the number of threads.
//!
//! Format: <https://docs.kernel.org/filesystems/squashfs.html> and the kernel's `fs/squashfs/squashfs_fs.h`.

mod compress;
mod directory;
mod error;
mod inode;
mod metadata;
mod options;
mod order;
mod output;
mod pipeline;
mod store;
mod superblock;
mod tables;
mod tree;
mod worker;
mod writer;
mod xattr;

pub use error::SquashfsError;
pub use options::{Compression, Options};
pub use tree::{Content, Inode, InodeId, Kind, Meta, Tree, XattrSet};
pub use writer::{FileWriter, Finished, Writer};
pub use xattr::storable;

/// Bytes of a data block: what `mksquashfs` takes too, and what random reads and the rate of compression both bear.
pub const BLOCK: usize = 128 * 1024;

/// The longest file, 1 TiB: its list of blocks has 32 MiB even when nothing is in them.
pub const MAX_FILE: u64 = 1 << 40;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
