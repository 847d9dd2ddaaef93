//! The layers of an image as one filesystem, in one pass from the top down, without unpacking anything to a disk.
//!
//! Each layer is unpacked and hashed on a thread of its own (`pipe`), read as a tar (`tar`), and what its entries do is kept
//! (`record`). What upper layers hide is known by then (`shade`), and is not passed to whoever compresses files. When all
//! layers were read, what they do is done in memory from the bottom up (`replay`), as Apptainer does it on a disk, and that is the
//! tree (`merged`). Should a file be seen that was thought hidden - a hard link later in the same tar, or links between
//! folders that upper layers have changed - its layer is read a second time.
//!
//! Memory: about 330 bytes per entry of usual layers, up to 900 where nearly all entries are folders that have entries, and what link targets and extended
//! attributes have.
//! [`Limits`] bounds all of it. Besides that 4 MiB for the layer that is read, and up to 128 MiB where zstd's window is that large.
//! Contents are never held.

mod apply;
mod decompress;
mod error;
mod merged;
mod name;
mod paths;
mod pipe;
mod record;
mod replay;
mod shade;
mod tar;
#[cfg(test)]
mod tests;

use std::io::Read;

use crate::image::Digest;
use crate::squashfs::{Content, Tree};

pub use apply::apply;
pub use error::{ApplyError, EntryFault, LayerError};
pub use tar::TarError;

/// One layer.
pub struct Layer<'a> {
    /// Its bytes as they are stored: plain, or compressed with gzip or zstd. It is read on another thread, which is waited for.
    pub input: Box<dyn Read + Send + 'a>,
    /// The digest of its uncompressed bytes, from the image's configuration.
    pub diff_id: Digest,
    /// What messages call it: its own digest.
    pub name: String,
    /// Ends a read of `input` that waits, with an error. Called when no more of it is wanted.
    pub stop: Box<dyn Fn() + 'a>,
}

/// Where layers come from.
pub trait Source {
    /// Why one does not come.
    type Error;

    /// How many there are.
    fn count(&self) -> usize;

    /// A layer from its beginning: 0 is the lowest, as in a manifest. May wait.
    ///
    /// [`apply()`] asks for the last one first and for the next when it is done with it. After the lowest it may ask for some
    /// again, which is rare.
    fn open(&mut self, index: usize) -> Result<Layer<'_>, Self::Error>;
}

/// What takes the contents of files, one file after the other.
pub trait Contents {
    /// Why it does not.
    type Error;
    /// A file that is begun.
    type File<'a>: FileContents<Error = Self::Error>
    where
        Self: 'a;

    /// Begins a file.
    fn begin(&mut self) -> Result<Self::File<'_>, Self::Error>;
}

/// A file that is begun. One that is dropped does not count.
pub trait FileContents {
    /// Why its bytes are not taken.
    type Error;

    /// The next bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// As many zeros, of which it is known that they are a hole.
    fn hole(&mut self, bytes: u64) -> Result<(), Self::Error>;

    /// That was all.
    fn finish(self) -> Result<Content, Self::Error>;
}

/// What an image may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all layers when they are unpacked, and also bytes of all files of all layers with their holes.
    pub bytes: u64,
    /// Entries of all layers; folders that are only named in paths count as well.
    pub entries: u64,
    /// Bytes of names, of link targets and of extended attributes.
    pub text: u64,
}

impl Default for Limits {
    /// 2 TiB, 2,000,000 entries and 512 MiB of names: many times what the largest images have.
    fn default() -> Self {
        Self { bytes: 2 << 40, entries: 2_000_000, text: 512 << 20 }
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The layer that is read: 0 is the lowest.
    pub layer: usize,
    /// Bytes of it that were read, unpacked.
    pub bytes: u64,
    /// Whether it is read for the second time.
    pub again: bool,
    /// Whether that was all of it.
    pub done: bool,
}

/// How many files, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Files.
    pub files: u64,
    /// Their bytes, with holes.
    pub bytes: u64,
}

/// All layers as one.
#[derive(Debug)]
pub struct Merged {
    /// The filesystem.
    pub tree: Tree,
    /// Entries of all layers.
    pub entries: u64,
    /// Bytes of all layers, unpacked.
    pub unpacked: u64,
    /// Files of the image; one with several names counts once.
    pub files: Count,
    /// Files that upper layers hide and that were not passed on.
    pub hidden: Count,
    /// Files that were passed on and that nothing names in the end.
    pub in_vain: Count,
    /// How many layers were read twice.
    pub again: usize,
    /// Extended attributes that squashfs cannot store.
    pub dropped_xattrs: u64,
    /// Entries that are nothing of the image: what AUFS has left.
    pub skipped: u64,
}

/// Why a layer was not read to its end.
#[derive(Debug)]
enum Stopped<E> {
    Tar(TarError),
    Layer(LayerError),
    Contents(E),
}
