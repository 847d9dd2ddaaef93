//! The caller's side: files go in, blocks go to the workers.

use std::fs::File;
use std::marker::PhantomData;

use super::{Content, Options, SquashfsError, Tree};

/// Writes a squashfs into a file, behind an offset. Dropping it unfinished leaves what is written so far.
pub struct Writer;

/// What came of it.
#[derive(Debug)]
pub struct Finished {
    /// The file, not flushed to its device.
    pub file: File,
    /// Bytes of the squashfs from the offset on, a multiple of 4096.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u32,
    /// Blocks that hold the ends of files.
    pub fragments: u32,
    /// Files whose content was there already.
    pub duplicates: u64,
}

/// One regular file whose data is being pushed. Dropping it unfinished abandons the file.
pub struct FileWriter<'a>(PhantomData<&'a mut Writer>);

impl Writer {
    /// Starts the threads.
    pub fn new(_file: File, _offset: u64, _options: &Options) -> Result<Self, SquashfsError> {
        Err(SquashfsError::Stopped)
    }

    /// Begins a regular file.
    pub fn begin(&mut self) -> FileWriter<'_> {
        FileWriter(PhantomData)
    }

    /// Writes the tree and all tables behind the data.
    pub fn finish(self, _tree: &Tree) -> Result<Finished, SquashfsError> {
        Err(SquashfsError::Stopped)
    }
}

impl FileWriter<'_> {
    /// Data behind what was pushed before.
    pub fn write(&mut self, _data: &[u8]) -> Result<(), SquashfsError> {
        Err(SquashfsError::Stopped)
    }

    /// A hole of so many bytes behind what was pushed before.
    pub fn hole(&mut self, _len: u64) -> Result<(), SquashfsError> {
        Err(SquashfsError::Stopped)
    }

    /// Ends the file.
    pub fn finish(self) -> Result<Content, SquashfsError> {
        Err(SquashfsError::Stopped)
    }
}
