//! Reads a tar as a stream: what each entry says, then its bytes, with holes as holes.
//!
//! Known are v7, ustar (POSIX.1-1988), PAX (POSIX.1-2001, "pax Interchange Format") and GNU tar's own format (GNU tar manual,
//! "Basic Tar Format", "Storing Sparse Files"). What is doubtful is refused. As in Go's `archive/tar`, which the tools that
//! make images are written with, links, folders, devices and pipes have no bytes whatever their size says, and a file whose name
//! ends with a slash is a folder.
//!
//! Memory: at most [`pax::MAX_BYTES`] for extended headers, twice that while one is taken apart, [`sparse::MAX_PIECES`] pieces of a
//! sparse file, and names of [`MAX_NAME`] bytes. Nothing grows with what an entry claims.

mod header;
mod pax;
mod sparse;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead};

use thiserror::Error;

use header::{BLOCK, Header};
use pax::Pax;
use sparse::{Map, MapError, Pieces};

/// The longest name or link target that is read, in bytes, with the `./` and slashes that do not count later.
pub(super) const MAX_NAME: usize = 8192;
/// The largest size of one file: what a file of squashfs can say is far more, what a cluster can store is not.
pub(super) const MAX_SIZE: u64 = 1 << 44;
/// How many extended headers may precede one entry.
const MAX_HEADERS: usize = 16;

/// What is wrong with a tar.
#[derive(Debug, Error)]
pub enum TarError {
    /// What it is read from failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It ends within an entry.
    #[error("it is cut off")]
    Truncated,
    /// A header's checksum is not that of its bytes.
    #[error("the checksum of a header is wrong")]
    Checksum,
    /// It says something that cannot be.
    #[error("{reason}")]
    Malformed {
        /// What is not as it should be.
        reason: &'static str,
    },
    /// It says more than is read.
    #[error("{what}: more than {limit} is not read")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is read.
        limit: u64,
    },
    /// An entry of a type that has no meaning in an image.
    #[error("{name} has the type {flag}, which is not known")]
    UnknownType {
        /// The entry.
        name: String,
        /// The type, as in the header.
        flag: String,
    },
}

impl TarError {
    fn malformed(reason: &'static str) -> Self {
        Self::Malformed { reason }
    }
}

impl From<MapError> for TarError {
    fn from(error: MapError) -> Self {
        match error {
            MapError::Malformed(reason) => Self::Malformed { reason },
            MapError::TooMany => {
                Self::TooLarge { what: "pieces of a sparse file", limit: sparse::MAX_PIECES as u64 }
            }
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    HardLink,
    Symlink,
    Character,
    Block,
    Folder,
    Fifo,
}

/// What a tar says of one thing, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: EntryKind,
    pub(super) name: Vec<u8>,
    /// What a link points to.
    pub(super) link: Vec<u8>,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970, brought between 0 and `u32::MAX`.
    pub(super) mtime: u32,
    /// Bytes of a file, with its holes.
    pub(super) size: u64,
    /// Major and minor number.
    pub(super) device: (u32, u32),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A part of a file's bytes.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    Data(&'a [u8]),
    Hole(u64),
}

/// A tar that is read from `input`.
#[derive(Debug)]
pub(super) struct Reader<R> {
    input: R,
    position: u64,
    /// Bytes of the entry that are still in the input, and the bytes that fill its last block.
    left: u64,
    padding: u64,
    /// Bytes that were given out and are used up with the next call.
    lent: usize,
    map: Option<Map>,
    global: Pax,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            position: 0,
            left: 0,
            padding: 0,
            lent: 0,
            map: None,
            global: Pax::default(),
            ended: false,
        }
    }

    /// How many bytes of the tar were read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// What it was read from, to be read to its end.
    pub(super) fn into_inner(self) -> R {
        self.input
    }

    /// The next entry; what is left of the former one's bytes is skipped. Nothing at the tar's end.
    pub(super) fn entry(&mut self) -> Result<Option<Entry>, TarError> {
        while self.pass()? {}
        let mut pax: Option<Pax> = None;
        let (mut name, mut link) = (None, None);
        for headers in 0.. {
            if headers > MAX_HEADERS {
                let limit = MAX_HEADERS as u64;
                return Err(TarError::TooLarge { what: "extended headers of one entry", limit });
            }
            let Some(header) = self.header()? else {
                if pax.is_some() || name.is_some() || link.is_some() {
                    return Err(TarError::malformed("there is an extended header without an entry"));
                }
                return Ok(None);
            };
            match header.flag() {
                b'x' => {
                    let text = self.payload(&header, "an extended header", pax::MAX_BYTES)?;
                    pax.get_or_insert_with(|| self.global.clone()).take(&text)?;
                }
                b'g' => {
                    let text = self.payload(&header, "an extended header", pax::MAX_BYTES)?;
                    self.global.take_global(&text)?;
                }
                b'L' => name = Some(self.long(&header)?),
                b'K' => link = Some(self.long(&header)?),
                // The name of a volume: no thing of a filesystem.
                b'V' => {
                    self.left = header.size()?;
                    self.padding = padding(self.left);
                    while self.pass()? {}
                }
                _ => {
                    let pax = pax.unwrap_or_else(|| self.global.clone());
                    return self.whole(&header, pax, name, link).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// The next bytes of the entry, or the next hole.
    pub(super) fn piece(&mut self) -> Result<Option<Piece<'_>>, TarError> {
        self.settle();
        let mut most = self.left;
        if let Some(map) = &mut self.map {
            match map.next() {
                None => most = 0,
                Some(sparse::Part::Hole(bytes)) => return Ok(Some(Piece::Hole(bytes))),
                Some(sparse::Part::Data(bytes)) => most = most.min(bytes),
            }
        }
        if most == 0 {
            return Ok(None);
        }
        let bytes = self.input.fill_buf()?;
        if bytes.is_empty() {
            return Err(TarError::Truncated);
        }
        let length = bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        self.lent = length;
        if let Some(map) = &mut self.map {
            map.took(length as u64);
        }
        Ok(Some(Piece::Data(bytes.get(..length).unwrap_or_default())))
    }

    /// Skips some of what is left of the entry. Says whether there is more.
    pub(super) fn pass(&mut self) -> Result<bool, TarError> {
        self.settle();
        self.map = None;
        let rest = self.left + self.padding;
        if rest == 0 {
            return Ok(false);
        }
        let bytes = self.input.fill_buf()?;
        if bytes.is_empty() && self.left == 0 {
            // umoci leaves the last block short; the entry is whole, and the layer's digest says whether more is missing.
            self.padding = 0;
            return Ok(false);
        }
        if bytes.is_empty() {
            return Err(TarError::Truncated);
        }
        let length = bytes.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        self.consume(length);
        let data = self.left.min(length as u64);
        self.left -= data;
        self.padding -= length as u64 - data;
        Ok(self.left + self.padding > 0)
    }

    fn settle(&mut self) {
        let lent = std::mem::take(&mut self.lent);
        self.consume(lent);
        self.left -= lent as u64;
    }

    fn consume(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.position += bytes as u64;
    }

    /// Fills `buffer`. Says whether there was anything: an input that ends before the first byte is no fault here.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, TarError> {
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            let bytes = self.input.fill_buf()?;
            let length = bytes.len().min(room.len());
            if length == 0 {
                return if filled == 0 { Ok(false) } else { Err(TarError::Truncated) };
            }
            if let (Some(to), Some(from)) = (room.get_mut(..length), bytes.get(..length)) {
                to.copy_from_slice(from);
            }
            self.consume(length);
            filled += length;
        }
        Ok(true)
    }

    /// The next header: not the blocks of zeros at the end.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        if self.ended {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        let mut zeros = 0;
        while zeros < 2 && self.fill(&mut block)? {
            if block.iter().any(|byte| *byte != 0) {
                if zeros > 0 {
                    return Err(TarError::malformed("there is a header behind a block of zeros"));
                }
                return Header::new(&block).map(Some);
            }
            zeros += 1;
        }
        self.ended = true;
        Ok(None)
    }

    /// The bytes that follow the header of a header.
    fn payload(&mut self, header: &Header, what: &'static str, limit: usize) -> Result<Vec<u8>, TarError> {
        let size = header.size()?;
        let length = usize::try_from(size).ok().filter(|length| *length <= limit);
        let Some(length) = length else { return Err(TarError::TooLarge { what, limit: limit as u64 }) };
        let mut bytes = vec![0; length + usize::try_from(padding(size)).unwrap_or(0)];
        if !bytes.is_empty() && !self.fill(&mut bytes)? {
            return Err(TarError::Truncated);
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    fn long(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let mut text = self.payload(header, "a long name", MAX_NAME)?;
        text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
        Ok(text)
    }

    fn whole(
        &mut self,
        header: &Header,
        pax: Pax,
        name: Option<Vec<u8>>,
        link: Option<Vec<u8>>,
    ) -> Result<Entry, TarError> {
        let stored_name = pax.path.clone().or(name).unwrap_or_else(|| header.name());
        let name = pax.sparse.name.clone().unwrap_or_else(|| stored_name.clone());
        let kind = header.kind(&stored_name)?;
        let link = match kind {
            EntryKind::HardLink | EntryKind::Symlink => {
                pax.link.clone().or(link).unwrap_or_else(|| header.link())
            }
            _ => Vec::new(),
        };
        let too_long = TarError::TooLarge { what: "bytes of a name", limit: MAX_NAME as u64 };
        if name.len() > MAX_NAME || link.len() > MAX_NAME {
            return Err(too_long);
        }
        // A file that is a folder for its slash may have bytes.
        let stored = if header.has_bytes() { pax.size.map_or_else(|| header.size(), Ok)? } else { 0 };
        let mut entry = Entry {
            kind,
            name,
            link,
            mode: header.mode()?,
            uid: pax.uid.map_or_else(|| header.uid(), Ok)?,
            gid: pax.gid.map_or_else(|| header.gid(), Ok)?,
            mtime: pax.mtime.map_or_else(|| header.mtime(), Ok)?,
            size: if kind == EntryKind::File { stored } else { 0 },
            device: if matches!(kind, EntryKind::Character | EntryKind::Block) {
                header.device()?
            } else {
                (0, 0)
            },
            xattrs: Vec::new(),
        };
        if stored > MAX_SIZE {
            return Err(TarError::TooLarge { what: "bytes of a file", limit: MAX_SIZE });
        }
        self.left = stored;
        self.padding = padding(stored);
        if kind == EntryKind::File {
            self.map = self.sparse(header, &pax)?;
            if let Some(map) = &self.map {
                entry.size = map.size();
            }
        }
        entry.xattrs = pax.xattrs.into_iter().collect();
        if entry.size > MAX_SIZE {
            return Err(TarError::TooLarge { what: "bytes of a file", limit: MAX_SIZE });
        }
        Ok(entry)
    }

    /// Where a sparse file's bytes belong, in whatever way it is said.
    fn sparse(&mut self, header: &Header, pax: &Pax) -> Result<Option<Map>, TarError> {
        let (size, pieces) = if header.flag() == b'S' {
            let (size, mut pieces, mut more) = header.sparse()?;
            let mut block = [0; BLOCK];
            while more {
                if !self.fill(&mut block)? {
                    return Err(TarError::Truncated);
                }
                more = header::more_sparse(&block, &mut pieces)?;
            }
            (size, pieces)
        } else if pax.sparse.major == Some(1) && pax.sparse.minor == Some(0) {
            let size = pax.sparse.real_size.ok_or(TarError::malformed("a sparse file has no size"))?;
            (size, self.written_map()?)
        } else if pax.sparse.major.is_some_and(|major| major != 0) {
            return Err(TarError::malformed("a sparse file has a version that is not known"));
        } else if let Some((size, pieces)) = pax.sparse.old()? {
            (size, pieces)
        } else {
            return Ok(None);
        };
        Ok(Some(Map::new(size, pieces, self.left)?))
    }

    /// The map that version 1.0 puts before the bytes: lines of decimal numbers, filled up to a block.
    fn written_map(&mut self) -> Result<Pieces, TarError> {
        let mut text = sparse::Text::default();
        let mut block = [0; BLOCK];
        loop {
            if self.left < BLOCK as u64 {
                return Err(TarError::malformed("a sparse file's map does not end"));
            }
            if !self.fill(&mut block)? {
                return Err(TarError::Truncated);
            }
            self.left -= BLOCK as u64;
            if text.take(&block)? {
                break;
            }
        }
        Ok(text.pieces())
    }
}

/// How many bytes fill the last block behind `size` bytes.
fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}
