//! One block of 512 bytes that says what an entry is.

use super::sparse::{self, MapError, Pieces};
use super::{EntryKind, MAX_SIZE, TarError};

/// What a tar is made of.
pub(super) const BLOCK: usize = 512;

/// A header whose checksum is right.
#[derive(Debug)]
pub(super) struct Header {
    block: [u8; BLOCK],
}

/// Which header it is: the fields behind the link's name differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    V7,
    Ustar,
    Gnu,
}

impl Header {
    pub(super) fn new(block: &[u8; BLOCK]) -> Result<Self, TarError> {
        let header = Self { block: *block };
        let said = number(header.field(148, 8))?;
        // Some old programs have added the bytes up as signed ones.
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (at, byte) in header.block.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        if said != unsigned && said != signed {
            return Err(TarError::Checksum);
        }
        Ok(header)
    }

    fn field(&self, start: usize, length: usize) -> &[u8] {
        self.block.get(start..start + length).unwrap_or_default()
    }

    fn format(&self) -> Format {
        match self.field(257, 8) {
            b"ustar  \0" => Format::Gnu,
            magic if magic.starts_with(b"ustar\0") => Format::Ustar,
            _ => Format::V7,
        }
    }

    pub(super) fn flag(&self) -> u8 {
        self.block[156]
    }

    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(self.field(0, 100));
        let prefix = if self.format() == Format::Ustar { text(self.field(345, 155)) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(self.field(157, 100)).to_vec()
    }

    /// Whether bytes follow.
    pub(super) fn has_bytes(&self) -> bool {
        matches!(self.flag(), b'\0' | b'0' | b'7' | b'S')
    }

    pub(super) fn kind(&self, name: &[u8]) -> Result<EntryKind, TarError> {
        Ok(match self.flag() {
            // So the oldest tars say it. Go's archive/tar, with which images are unpacked elsewhere, does it for '\0' only as well: a file
            // of type '0' stays one.
            b'\0' if name.ends_with(b"/") => EntryKind::Folder,
            b'\0' | b'0' | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::Character,
            b'4' => EntryKind::Block,
            b'5' => EntryKind::Folder,
            b'6' => EntryKind::Fifo,
            flag => {
                let name = super::super::error::shown(name);
                return Err(TarError::UnknownType { name, flag: format!("{:?}", char::from(flag)) });
            }
        })
    }

    pub(super) fn size(&self) -> Result<u64, TarError> {
        let size = u64::try_from(number(self.field(124, 12))?)
            .map_err(|_| TarError::malformed("a size is negative"))?;
        if size > MAX_SIZE {
            return Err(TarError::TooLarge { what: "bytes of a file", limit: MAX_SIZE });
        }
        Ok(size)
    }

    /// The lower twelve bits: some programs put the file's type above them.
    pub(super) fn mode(&self) -> Result<u16, TarError> {
        let mode = number(self.field(100, 8))? & 0o7777;
        u16::try_from(mode).map_err(|_| TarError::malformed("a mode cannot be"))
    }

    pub(super) fn uid(&self) -> Result<u32, TarError> {
        owner(number(self.field(108, 8))?)
    }

    pub(super) fn gid(&self) -> Result<u32, TarError> {
        owner(number(self.field(116, 8))?)
    }

    pub(super) fn mtime(&self) -> Result<u32, TarError> {
        Ok(clamped(number(self.field(136, 12))?))
    }

    pub(super) fn device(&self) -> Result<(u32, u32), TarError> {
        if self.format() == Format::V7 {
            return Ok((0, 0));
        }
        let part = |start| {
            u32::try_from(number(self.field(start, 8))?)
                .map_err(|_| TarError::malformed("a device's number cannot be"))
        };
        Ok((part(329)?, part(337)?))
    }

    /// What an old GNU header says of a sparse file: its size, the first pieces, whether there are more.
    pub(super) fn sparse(&self) -> Result<(u64, Pieces, bool), TarError> {
        let mut pieces = Vec::new();
        table(self.field(386, 96), &mut pieces)?;
        Ok((unsigned(self.field(483, 12))?, pieces, self.block[482] != 0))
    }
}

/// Takes the pieces of a block that continues a sparse header. Says whether there is another.
pub(super) fn more_sparse(block: &[u8; BLOCK], pieces: &mut Pieces) -> Result<bool, TarError> {
    table(block.get(..504).unwrap_or_default(), pieces)?;
    // A chain of empty blocks would never reach the limit.
    let more = block[504] != 0;
    if more && block.get(480..504).is_some_and(|last| last.first() == Some(&0)) {
        return Err(TarError::malformed("a sparse file's map has gaps"));
    }
    Ok(more)
}

/// Pieces of 12 and 12 bytes; an empty one ends them.
fn table(bytes: &[u8], pieces: &mut Pieces) -> Result<(), TarError> {
    for piece in bytes.chunks_exact(24) {
        if piece.first() == Some(&0) {
            return Ok(());
        }
        let (offset, length) = piece.split_at(12);
        if pieces.len() >= sparse::MAX_PIECES {
            return Err(MapError::TooMany.into());
        }
        pieces.push((unsigned(offset)?, unsigned(length)?));
    }
    Ok(())
}

/// What precedes the first zero.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn unsigned(field: &[u8]) -> Result<u64, TarError> {
    u64::try_from(number(field)?)
        .map_err(|_| TarError::malformed("a sparse file's map has a negative number"))
}

pub(super) fn owner(id: i64) -> Result<u32, TarError> {
    u32::try_from(id).map_err(|_| TarError::malformed("an owner is no number of 32 bits"))
}

pub(super) fn clamped(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// A number: octal digits between spaces and zeros, or GNU's 256-based one, marked by its highest bit, in two's complement.
fn number(field: &[u8]) -> Result<i64, TarError> {
    let first = field.first().copied().unwrap_or(0);
    if first & 0x80 != 0 {
        // Sign-extended: the mark is not a part of it.
        let sign = if first & 0x40 == 0 { 0 } else { -1_i128 };
        let mut value = (sign << 7) | i128::from(first & 0x7f);
        for byte in field.iter().skip(1) {
            value = (value << 8) | i128::from(*byte);
        }
        return i64::try_from(value).map_err(|_| TarError::malformed("a number is too large"));
    }
    let padding = |byte: &u8| matches!(byte, b' ' | 0);
    let digits = field.trim_ascii_start();
    let start = digits.iter().position(|byte| !padding(byte)).unwrap_or(digits.len());
    let digits = digits.get(start..).unwrap_or_default();
    let end = digits.iter().position(padding).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if !rest.iter().all(padding) {
        return Err(TarError::malformed("a number has something behind it"));
    }
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => Ok((value << 3) | i64::from(digit - b'0')),
        _ => Err(TarError::malformed("a number has something that is no octal digit")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_256_based() {
        for (field, value) in [
            (&b"0000644\0"[..], 0o644),
            (b"   644 \0", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"77777777", 0o7777_7777),
            (b"\x80\0\0\0\0\0\x01\0", 256),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", i64::MAX),
        ] {
            assert_eq!(number(field).unwrap(), value, "{field:?}");
        }
        for bad in [
            &b"0000648\0"[..],
            b"12 34\0\0\0",
            b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"-1\0\0\0\0\0\0",
        ] {
            assert!(number(bad).is_err(), "{bad:?}");
        }
        assert_eq!((clamped(-1), clamped(7), clamped(i64::MAX)), (0, 7, u32::MAX));
        assert!(owner(-1).is_err() && owner(1 << 32).is_err() && owner((1 << 32) - 1).is_ok());
    }
}
