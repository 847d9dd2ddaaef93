//! The writer of the squashfs as what takes the contents of files.

use crate::layer::{Contents, FileContents};
use crate::squashfs::{Content, FileWriter, SquashfsError, Writer};

impl Contents for Writer {
    type Error = SquashfsError;
    type File<'a> = FileWriter<'a>;

    fn begin(&mut self) -> Result<FileWriter<'_>, SquashfsError> {
        Ok(Self::begin(self))
    }
}

impl FileContents for FileWriter<'_> {
    type Error = SquashfsError;

    fn write(&mut self, bytes: &[u8]) -> Result<(), SquashfsError> {
        Self::write(self, bytes)
    }

    fn hole(&mut self, bytes: u64) -> Result<(), SquashfsError> {
        Self::hole(self, bytes)
    }

    fn finish(self) -> Result<Content, SquashfsError> {
        Self::finish(self)
    }
}
