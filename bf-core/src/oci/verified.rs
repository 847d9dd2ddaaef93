//! A reader that compares what it read with what was announced.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::Descriptor;
use crate::digest::hex;
use crate::report::{Exit, Failure};

/// Passes bytes on and hashes them; at the end it is an error if they were not those of the descriptor.
pub struct Verified<R> {
    inner: R,
    descriptor: Descriptor,
    hash: Sha256,
    read: u64,
    checked: bool,
}

impl<R: Read> Verified<R> {
    /// Reads from `inner` what `descriptor` describes.
    pub fn new(inner: R, descriptor: Descriptor) -> Self {
        Self { inner, descriptor, hash: Sha256::new(), read: 0, checked: false }
    }

    fn check(&mut self) -> io::Result<()> {
        if self.checked {
            return Ok(());
        }
        let Descriptor { digest, size, .. } = &self.descriptor;
        let wrong = |reason: String| damaged(format!("{digest} is damaged: {reason}"));
        if self.read != *size {
            return Err(wrong(format!("it has {} bytes, it should have {size}", self.read)));
        }
        let found = hex(&self.hash.finalize_reset());
        if found != digest.hex() {
            return Err(wrong(format!("its content hashes to {found}")));
        }
        self.checked = true;
        Ok(())
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(buffer)?;
        if read == 0 {
            self.check()?;
            return Ok(0);
        }
        self.read += read as u64;
        if self.read > self.descriptor.size {
            let Descriptor { digest, size, .. } = &self.descriptor;
            let text = format!("{digest} is damaged: it has more than {size} bytes");
            return Err(damaged(text));
        }
        self.hash.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
/// What a reader ends with that was given something else than was promised.
fn damaged(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Failure::new(Exit::Invalid, "blob_damaged", message))
}
