//! Directory tables: what folders name, in runs of entries whose inodes are near each other.

use super::SquashfsError;
use super::compress::Compressor;
use super::metadata::{Metadata, PIECE, Place};

/// One name.
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    /// Where the inode is.
    pub(super) inode: Place,
    pub(super) number: u32,
    /// As in basic inodes.
    pub(super) kind: u16,
}

/// Where a folder's entries came to be.
pub(super) struct Listing {
    pub(super) place: Place,
    /// Bytes, uncompressed.
    pub(super) bytes: u64,
    /// Where a name is to be looked for, in the folder's inode: one entry for each piece of a large folder.
    pub(super) index: Vec<u8>,
    pub(super) indexed: u16,
}

/// Writes one folder's entries, which come sorted.
pub(super) struct Lister<'a> {
    table: &'a mut Metadata,
    compressor: &'a mut Compressor,
    listing: Listing,
    /// The piece that the last entry of the index is for.
    piece: u32,
    run: Vec<u8>,
    /// Of the run: entries, where all the inodes' pieces begin, the number that others are told from.
    count: u32,
    block: u32,
    number: u32,
    first: Vec<u8>,
}

impl<'a> Lister<'a> {
    pub(super) fn new(
        table: &'a mut Metadata,
        compressor: &'a mut Compressor,
    ) -> Result<Self, SquashfsError> {
        let place = table.place()?;
        Ok(Self {
            table,
            compressor,
            listing: Listing { place, bytes: 0, index: Vec::new(), indexed: 0 },
            piece: place.block,
            run: Vec::new(),
            count: 0,
            block: 0,
            number: 0,
            first: Vec::new(),
        })
    }

    pub(super) fn add(&mut self, entry: &Entry<'_>) -> Result<(), SquashfsError> {
        let near = i16::try_from(i64::from(entry.number) - i64::from(self.number));
        // A run has 256 entries at most. It also ends with its piece, so that the index can lead to each piece.
        let ends = self.count == 256
            || self.block != entry.inode.block
            || near.is_err()
            || usize::from(self.table.place()?.offset) + 12 + self.run.len() >= PIECE;
        if self.count > 0 && ends {
            self.end_run()?;
        }
        if self.count == 0 {
            self.block = entry.inode.block;
            self.number = entry.number;
            self.first.clear();
            self.first.extend_from_slice(entry.name);
        }
        // Fits: else the run would have ended, and a run's first entry is 0 away.
        let away = i16::try_from(i64::from(entry.number) - i64::from(self.number)).unwrap_or(0);
        // Names were checked: 1 to 256 bytes.
        let length = u16::try_from(entry.name.len().saturating_sub(1)).unwrap_or(0);
        self.run.extend_from_slice(&entry.inode.offset.to_le_bytes());
        self.run.extend_from_slice(&away.to_le_bytes());
        self.run.extend_from_slice(&entry.kind.to_le_bytes());
        self.run.extend_from_slice(&length.to_le_bytes());
        self.run.extend_from_slice(entry.name);
        self.count += 1;
        Ok(())
    }

    fn end_run(&mut self) -> Result<(), SquashfsError> {
        let place = self.table.place()?;
        // Without an entry more, the last one leads to a longer search.
        if place.block != self.piece && self.listing.indexed < u16::MAX {
            self.piece = place.block;
            self.listing.indexed += 1;
            // A folder that is too large for this number is refused by its size.
            let position = u32::try_from(self.listing.bytes).unwrap_or(u32::MAX);
            let length = u32::try_from(self.first.len().saturating_sub(1)).unwrap_or(0);
            for word in [position, place.block, length] {
                self.listing.index.extend_from_slice(&word.to_le_bytes());
            }
            self.listing.index.extend_from_slice(&self.first);
        }
        for word in [self.count.saturating_sub(1), self.block, self.number] {
            self.table.write(&word.to_le_bytes(), self.compressor)?;
        }
        self.table.write(&self.run, self.compressor)?;
        self.listing.bytes += 12 + self.run.len() as u64;
        self.run.clear();
        self.count = 0;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Listing, SquashfsError> {
        if self.count > 0 {
            self.end_run()?;
        }
        Ok(self.listing)
    }
}
