//! Sparse files: which of their bytes are in the tar, and where they belong.

/// The most pieces of one file, 16 bytes each.
pub(super) const MAX_PIECES: usize = 65_536;
/// The digits of the largest number there is.
const MAX_DIGITS: usize = 20;

/// Offsets and lengths.
pub(super) type Pieces = Vec<(u64, u64)>;

/// What is wrong with a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapError {
    Malformed(&'static str),
    TooMany,
}

/// What comes next of a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Data(u64),
    Hole(u64),
}

/// Pieces in their order, as far as they are not read.
#[derive(Debug)]
pub(super) struct Map {
    size: u64,
    at: u64,
    pieces: std::iter::Peekable<std::vec::IntoIter<(u64, u64)>>,
}

impl Map {
    /// A map of offsets and lengths for a file of `size` bytes of which `stored` are in the tar.
    pub(super) fn new(size: u64, pieces: Pieces, stored: u64) -> Result<Self, MapError> {
        if pieces.len() > MAX_PIECES {
            return Err(MapError::TooMany);
        }
        let (mut end, mut sum) = (0_u64, 0_u64);
        for &(offset, length) in &pieces {
            if offset < end {
                return Err(MapError::Malformed("the pieces of a sparse file overlap or are not in order"));
            }
            end = offset
                .checked_add(length)
                .filter(|end| *end <= size)
                .ok_or(MapError::Malformed("a piece of a sparse file is behind its end"))?;
            sum += length;
        }
        if sum != stored {
            return Err(MapError::Malformed("the pieces of a sparse file are not as long as its bytes"));
        }
        Ok(Self { size, at: 0, pieces: pieces.into_iter().peekable() })
    }

    /// The file's size with its holes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What comes next: a hole counts as read, bytes only with [`Map::took`].
    pub(super) fn next(&mut self) -> Option<Part> {
        // Empty pieces mark the end of a file that ends with a hole.
        while self.pieces.next_if(|(offset, length)| offset + length <= self.at).is_some() {}
        let (start, end) =
            self.pieces.peek().map_or((self.size, self.size), |(offset, length)| (*offset, offset + length));
        if self.at < start {
            let hole = start - self.at;
            self.at = start;
            return Some(Part::Hole(hole));
        }
        (self.at < end).then(|| Part::Data(end - self.at))
    }

    pub(super) fn took(&mut self, bytes: u64) {
        self.at += bytes;
    }
}

/// The map of version 1.0 while it is read: how many pieces, then offset and length of each, one number a line.
#[derive(Debug, Default)]
pub(super) struct Text {
    digits: usize,
    value: u64,
    count: Option<usize>,
    offset: Option<u64>,
    pieces: Pieces,
}

impl Text {
    /// Takes some of it. Says whether it is all there.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<bool, MapError> {
        for byte in bytes {
            if self.complete() {
                break;
            }
            match byte {
                b'0'..=b'9' if self.digits < MAX_DIGITS => {
                    self.digits += 1;
                    self.value = self
                        .value
                        .checked_mul(10)
                        .and_then(|value| value.checked_add(u64::from(byte - b'0')))
                        .ok_or(MapError::Malformed("a number of a sparse file's map is too large"))?;
                }
                b'\n' if self.digits > 0 => self.line()?,
                _ => return Err(MapError::Malformed("a sparse file's map is not made of numbers")),
            }
        }
        Ok(self.complete())
    }

    fn line(&mut self) -> Result<(), MapError> {
        let value = std::mem::take(&mut self.value);
        self.digits = 0;
        if self.count.is_none() {
            let count = usize::try_from(value).ok().filter(|count| *count <= MAX_PIECES);
            self.count = Some(count.ok_or(MapError::TooMany)?);
        } else if let Some(offset) = self.offset.take() {
            self.pieces.push((offset, value));
        } else {
            self.offset = Some(value);
        }
        Ok(())
    }

    fn complete(&self) -> bool {
        self.count == Some(self.pieces.len())
    }

    pub(super) fn pieces(self) -> Pieces {
        self.pieces
    }
}
