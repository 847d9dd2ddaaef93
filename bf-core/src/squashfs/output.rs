//! The file that is written: large writes in order, and a way back.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::SquashfsError;

/// Bytes that are written at once.
const CHUNK: usize = 1024 * 1024;

/// Why a write failed is said with this.
const WRITE: &str = "write the image";

/// A file with a place in it, counted from where the squashfs begins.
pub(super) struct Output {
    file: File,
    offset: u64,
    /// Where the buffer begins, from `offset` on.
    written: u64,
    buffer: Vec<u8>,
}

impl Output {
    /// Everything goes behind `offset` and `start` more bytes.
    pub(super) fn new(file: File, offset: u64, start: u64) -> Self {
        Self { file, offset, written: start, buffer: Vec::with_capacity(CHUNK) }
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), SquashfsError> {
        if self.buffer.len() + data.len() > CHUNK {
            self.flush()?;
        }
        if data.len() >= CHUNK {
            self.write_at(self.written, data)?;
            self.written += data.len() as u64;
        } else {
            self.buffer.extend_from_slice(data);
        }
        Ok(())
    }

    /// Goes back to where it was: what is behind is forgotten, and written over or cut off later.
    pub(super) fn rewind(&mut self, position: u64) {
        match usize::try_from(position.saturating_sub(self.written)) {
            Ok(kept) if position >= self.written => self.buffer.truncate(kept),
            _ => {
                self.buffer.clear();
                self.written = position;
            }
        }
    }

    /// Writes somewhere in front.
    pub(super) fn write_at(&self, position: u64, data: &[u8]) -> Result<(), SquashfsError> {
        self.file.write_all_at(data, self.offset + position).map_err(SquashfsError::io(WRITE))
    }

    fn flush(&mut self) -> Result<(), SquashfsError> {
        self.write_at(self.written, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the rest and zeros up to a multiple of 4096, cuts off what is behind. Returns the file and the bytes from `offset` on.
    pub(super) fn finish(mut self) -> Result<(File, u64), SquashfsError> {
        self.flush()?;
        let bytes = self.written.next_multiple_of(4096);
        // Twice, so that nothing of what was rewound stays in the padding.
        for length in [self.written, bytes] {
            self.file.set_len(self.offset + length).map_err(SquashfsError::io(WRITE))?;
        }
        Ok((self.file, bytes))
    }
}
