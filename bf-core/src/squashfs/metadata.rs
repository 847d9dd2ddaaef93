//! Metadata blocks: tables in pieces of 8 KiB, each compressed.

use super::SquashfsError;
use super::compress::Compressor;
use super::output::Output;

/// Bytes of a piece.
pub(super) const PIECE: usize = 8192;

/// Of a piece's header: it is stored as it is.
const RAW: u16 = 1 << 15;

/// A place in a table: where its piece begins, from the table's beginning on, and where in the piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) offset: u16,
}

impl Place {
    /// As inodes and attributes are referred to.
    pub(super) fn reference(self) -> u64 {
        u64::from(self.block) << 16 | u64::from(self.offset)
    }
}

/// A table that is being written, compressed as far as pieces are full.
pub(super) struct Metadata {
    what: &'static str,
    piece: Vec<u8>,
    packed: Vec<u8>,
    /// Compressed bytes that were taken out.
    drained: u64,
}

impl Metadata {
    /// `what` is in it, as in "too many ...".
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, piece: Vec::with_capacity(PIECE), packed: Vec::new(), drained: 0 }
    }

    /// Where the next byte goes.
    pub(super) fn place(&self) -> Result<Place, SquashfsError> {
        let too_many = |_| SquashfsError::TooMany { what: self.what, limit: u64::from(u32::MAX) };
        let block = u32::try_from(self.drained + self.packed.len() as u64).map_err(too_many)?;
        // A piece that is full is compressed at once.
        Ok(Place { block, offset: u16::try_from(self.piece.len()).unwrap_or(0) })
    }

    pub(super) fn write(
        &mut self,
        mut data: &[u8],
        compressor: &mut Compressor,
    ) -> Result<(), SquashfsError> {
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(now);
            data = later;
            if self.piece.len() == PIECE {
                self.pack(compressor)?;
            }
        }
        Ok(())
    }

    fn pack(&mut self, compressor: &mut Compressor) -> Result<(), SquashfsError> {
        let (stored, raw) = match compressor.compress(&self.piece)? {
            Some(packed) => (packed, 0),
            None => (self.piece.as_slice(), RAW),
        };
        // At most 8192.
        let header = u16::try_from(stored.len()).unwrap_or(0) | raw;
        self.packed.extend_from_slice(&header.to_le_bytes());
        self.packed.extend_from_slice(stored);
        self.piece.clear();
        Ok(())
    }

    /// Writes what is compressed.
    pub(super) fn drain(&mut self, output: &mut Output) -> Result<(), SquashfsError> {
        output.write(&self.packed)?;
        self.drained += self.packed.len() as u64;
        self.packed.clear();
        Ok(())
    }

    /// Writes what is compressed when it is much.
    pub(super) fn drain_some(&mut self, output: &mut Output) -> Result<(), SquashfsError> {
        if self.packed.len() < 256 * 1024 { Ok(()) } else { self.drain(output) }
    }

    /// Writes everything that is left.
    pub(super) fn finish(
        mut self,
        output: &mut Output,
        compressor: &mut Compressor,
    ) -> Result<(), SquashfsError> {
        if !self.piece.is_empty() {
            self.pack(compressor)?;
        }
        self.drain(output)
    }
}

/// Writes a table, `head`, and the list of where the table's pieces are. Returns where `head` is.
pub(super) fn indexed(
    head: &[u8],
    entries: impl Iterator<Item = impl AsRef<[u8]>>,
    output: &mut Output,
    compressor: &mut Compressor,
) -> Result<u64, SquashfsError> {
    let mut table = Metadata::new("entries");
    let mut index = Vec::new();
    for entry in entries {
        // Entries do not cross pieces: their sizes divide 8192.
        if table.piece.is_empty() {
            index.extend_from_slice(&output.position().to_le_bytes());
        }
        table.write(entry.as_ref(), compressor)?;
        table.drain(output)?;
    }
    table.finish(output, compressor)?;
    let position = output.position();
    output.write(head)?;
    output.write(&index)?;
    Ok(position)
}
