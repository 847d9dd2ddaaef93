//! The caller's side: files go in, blocks go to the workers.

use std::fs::File;

use super::pipeline::Pipeline;
use super::store::{End, Message};
use super::superblock::{self, SUPERBLOCK};
use super::{BLOCK, Content, MAX_FILE, Options, SquashfsError, Tree, tables};

/// Writes a squashfs into a file, behind an offset. Dropping it unfinished leaves what is written so far.
///
/// Data that is pushed is copied once, into blocks that a few threads compress; when they are behind, pushing waits.
/// Ends of files share blocks in the order in which they come. What is there already is not stored again.
pub struct Writer {
    /// Nothing after an error.
    pipeline: Option<Pipeline>,
    options: Options,
    /// Ends of finished files, then what the present file has beyond its last whole block.
    buffer: Vec<u8>,
    ends: Vec<End>,
    /// Where the present file begins in the buffer.
    start: usize,
    /// Bytes of the present file.
    size: u64,
    /// Blocks of the present file that are holes and were not told yet.
    holes: u32,
    /// Whether something of the present file was told.
    told: bool,
    /// How many files are finished.
    files: u32,
}

/// What came of it.
#[derive(Debug)]
pub struct Finished {
    /// The file, not flushed to its device. It ends where the squashfs does.
    pub file: File,
    /// Bytes of the squashfs from the offset on, a multiple of 4096.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u32,
    /// Blocks that hold the ends of files.
    pub fragments: u32,
    /// Files whose content was there already, empty ones not counted.
    pub duplicates: u64,
}

/// One regular file whose data is being pushed. Dropping it unfinished abandons the file.
pub struct FileWriter<'a>(&'a mut Writer);

/// Ends in one buffer: enough to fill it with files of 128 bytes, and a bound for a heap of empty ones.
const MOST_ENDS: usize = 1024;

impl Writer {
    /// Starts the threads. What the file has from `offset` on is replaced.
    pub fn new(file: File, offset: u64, options: &Options) -> Result<Self, SquashfsError> {
        let described = superblock::compressor_options(options.compression);
        let start = SUPERBLOCK + described.len() as u64;
        let mut pipeline = Pipeline::new(file, offset, start, options)?;
        Ok(Self {
            buffer: pipeline.buffer()?,
            pipeline: Some(pipeline),
            options: options.clone(),
            ends: Vec::new(),
            start: 0,
            size: 0,
            holes: 0,
            told: false,
            files: 0,
        })
    }

    /// Begins a regular file.
    pub fn begin(&mut self) -> FileWriter<'_> {
        // There is one when it was leaked.
        self.abandon();
        FileWriter(self)
    }

    /// Writes the tree and all tables behind the data. The file is not flushed to its device.
    ///
    /// # Errors
    /// The path of what squashfs cannot have; what fails when writing.
    pub fn finish(mut self, tree: &Tree) -> Result<Finished, SquashfsError> {
        self.abandon();
        self.try_with(|writer, pipeline| {
            writer.send_ends(pipeline)?;
            pipeline.tell(Message::Finish)
        })?;
        let pipeline = self.pipeline.take().ok_or(SquashfsError::Stopped)?;
        let (output, data) = pipeline.join()?;
        tables::write(output, &data, tree, &self.options)
    }

    /// Does something with the threads; when that fails, they are ended, and the error is theirs.
    fn try_with(
        &mut self,
        act: impl FnOnce(&mut Self, &mut Pipeline) -> Result<(), SquashfsError>,
    ) -> Result<(), SquashfsError> {
        let mut pipeline = self.pipeline.take().ok_or(SquashfsError::Stopped)?;
        match act(self, &mut pipeline) {
            Ok(()) => {
                self.pipeline = Some(pipeline);
                Ok(())
            }
            Err(error) => Err(pipeline.join().err().unwrap_or(error)),
        }
    }

    fn push(&mut self, mut data: &[u8]) -> Result<(), SquashfsError> {
        self.grow(data.len() as u64)?;
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(BLOCK - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            data = later;
            if self.buffer.len() == BLOCK {
                self.try_with(Self::send_full)?;
            }
        }
        Ok(())
    }

    fn push_hole(&mut self, len: u64) -> Result<(), SquashfsError> {
        static ZEROS: [u8; 8192] = [0; 8192];
        let block = BLOCK as u64;
        let zeros = |writer: &mut Self, mut count: u64| {
            while count > 0 {
                let now = usize::try_from(count).unwrap_or(ZEROS.len()).min(ZEROS.len());
                writer.push(ZEROS.get(..now).unwrap_or_default())?;
                count -= now as u64;
            }
            Ok(())
        };
        // Asked first, so that a length beyond all measure does no work.
        self.size.checked_add(len).filter(|&size| size <= MAX_FILE).ok_or(SquashfsError::FileTooLarge)?;
        let first = len.min((block - self.size % block) % block);
        zeros(self, first)?;
        let blocks = (len - first) / block;
        if blocks > 0 {
            self.try_with(
                |writer, pipeline| {
                    if writer.ends.is_empty() { Ok(()) } else { writer.send_ends(pipeline) }
                },
            )?;
            self.grow(blocks * block)?;
            // There are not more in the largest file.
            self.holes += u32::try_from(blocks).map_err(|_| SquashfsError::FileTooLarge)?;
        }
        zeros(self, (len - first) % block)
    }

    fn grow(&mut self, len: u64) -> Result<(), SquashfsError> {
        let size = self.size.checked_add(len).filter(|&size| size <= MAX_FILE);
        self.size = size.ok_or(SquashfsError::FileTooLarge)?;
        Ok(())
    }

    /// Sends the buffer, which is full: as a block when it is one, else without the part that may become one.
    fn send_full(&mut self, pipeline: &mut Pipeline) -> Result<(), SquashfsError> {
        if !self.ends.is_empty() {
            self.send_ends(pipeline)?;
            // It is still full when the finished files were all empty.
            if self.buffer.len() < BLOCK {
                return Ok(());
            }
        }
        self.send_holes(pipeline)?;
        let next = pipeline.buffer()?;
        self.told = true;
        pipeline.block(std::mem::replace(&mut self.buffer, next))
    }

    /// Sends the ends of finished files; what the present file has goes into a new buffer.
    fn send_ends(&mut self, pipeline: &mut Pipeline) -> Result<(), SquashfsError> {
        let mut next = pipeline.buffer()?;
        next.extend_from_slice(self.buffer.get(self.start..).unwrap_or_default());
        self.buffer.truncate(self.start);
        self.start = 0;
        pipeline.tails(std::mem::replace(&mut self.buffer, next), std::mem::take(&mut self.ends))
    }

    /// Tells of holes, which are in front of what is in the buffer.
    fn send_holes(&mut self, pipeline: &mut Pipeline) -> Result<(), SquashfsError> {
        if self.holes == 0 {
            return Ok(());
        }
        self.told = true;
        pipeline.tell(Message::Hole(std::mem::take(&mut self.holes)))
    }

    fn end(&mut self) -> Result<Content, SquashfsError> {
        let number = self.files;
        let next = number
            .checked_add(1)
            .ok_or(SquashfsError::TooMany { what: "files", limit: u64::from(u32::MAX) })?;
        self.try_with(|writer, pipeline| {
            writer.send_holes(pipeline)?;
            writer.ends.push(End { size: writer.size, end: writer.buffer.len() });
            writer.start = writer.buffer.len();
            if writer.ends.len() >= MOST_ENDS { writer.send_ends(pipeline) } else { Ok(()) }
        })?;
        self.files = next;
        self.told = false;
        self.size = 0;
        Ok(Content(number))
    }

    /// Forgets the present file.
    fn abandon(&mut self) {
        self.buffer.truncate(self.start);
        self.size = 0;
        self.holes = 0;
        if std::mem::take(&mut self.told) && self.pipeline.is_some() {
            // When it fails, the next call says why.
            let _ = self.pipeline.as_ref().map(|pipeline| pipeline.tell(Message::Abandon));
        }
    }
}

impl FileWriter<'_> {
    /// Data behind what was pushed before. Waits when the threads are behind.
    ///
    /// # Errors
    /// What failed in any of the threads, once; [`SquashfsError::Stopped`] after that. A file above 1 TiB.
    pub fn write(&mut self, data: &[u8]) -> Result<(), SquashfsError> {
        self.0.push(data)
    }

    /// A hole of so many bytes behind what was pushed before. Whole blocks of it take no time and no room, but four
    /// bytes each in the list of the file's blocks.
    ///
    /// # Errors
    /// As [`FileWriter::write`].
    pub fn hole(&mut self, len: u64) -> Result<(), SquashfsError> {
        self.0.push_hole(len)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// As [`FileWriter::write`].
    pub fn finish(self) -> Result<Content, SquashfsError> {
        self.0.end()
    }
}

impl Drop for FileWriter<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
