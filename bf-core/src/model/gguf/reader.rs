//! Bounded reading of GGUF's values: counts where it is, skips what nobody asked for, allocates only for short texts.

use std::io::{self, Read};

use super::super::HeaderError;
use super::MAX_TEXT;

/// How deep arrays may hold arrays; llama.cpp itself reads none that do.
const MAX_NESTING: u32 = 4;

/// The longest list of numbers that is kept: one for each layer of a model.
const MAX_NUMBERS: u64 = 1024;

/// A metadata value, as far as we keep it.
pub(super) enum Value {
    /// An integer that is not negative.
    Number(u64),
    /// A short list of integers of 32 bits, none negative.
    Numbers(Vec<u64>),
    /// A printable text of at most [`MAX_TEXT`] bytes, else nothing.
    Text(Option<String>),
    /// Anything else: skipped.
    Other,
}

/// A source of bytes that knows its position, the file's length and the most it may read.
pub(super) struct Reader<R> {
    source: R,
    position: u64,
    bytes: u64,
    limit: u64,
}

impl<R: Read> Reader<R> {
    /// Reads at most `limit` bytes of a file of `bytes` bytes.
    pub(super) fn new(source: R, bytes: u64, limit: u64) -> Self {
        Self { source, position: 0, bytes, limit }
    }

    /// How many bytes were read so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn malformed(&self, reason: &'static str) -> HeaderError {
        HeaderError::Malformed { reason, at: self.position }
    }

    /// Checks that `length` more bytes are there before anything is done with them.
    fn advance(&mut self, length: u64) -> Result<(), HeaderError> {
        let needed = self.position.saturating_add(length);
        if needed > self.bytes {
            return Err(HeaderError::Truncated { bytes: self.bytes, needed });
        }
        if needed > self.limit {
            return Err(self.malformed("its header is longer than 256 MB"));
        }
        self.position = needed;
        Ok(())
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let mut bytes = [0; N];
        self.advance(N as u64)?;
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, HeaderError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, HeaderError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn skip(&mut self, length: u64) -> Result<(), HeaderError> {
        self.advance(length)?;
        let skipped = io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
        if skipped < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }

    /// A string of at most `limit` bytes; skipped unless it is to be kept and is short and printable.
    pub(super) fn text(&mut self, limit: u64, keep: bool) -> Result<Option<String>, HeaderError> {
        let length = self.u64()?;
        if length > limit {
            return Err(self.malformed("a name is longer than the format allows"));
        }
        if !keep || length > MAX_TEXT {
            return self.skip(length).map(|()| None);
        }
        self.advance(length)?;
        let mut bytes = Vec::new();
        self.source.by_ref().take(length).read_to_end(&mut bytes)?;
        Ok(String::from_utf8(bytes)
            .ok()
            .filter(|text| !text.is_empty() && !text.chars().any(char::is_control)))
    }

    /// A value with its type in front.
    pub(super) fn value(&mut self) -> Result<Value, HeaderError> {
        let signed = |number: i64| u64::try_from(number).map_or(Value::Other, Value::Number);
        Ok(match self.u32()? {
            0 => Value::Number(u64::from(u8::from_le_bytes(self.bytes()?))),
            1 => signed(i64::from(i8::from_le_bytes(self.bytes()?))),
            2 => Value::Number(u64::from(u16::from_le_bytes(self.bytes()?))),
            3 => signed(i64::from(i16::from_le_bytes(self.bytes()?))),
            4 => Value::Number(u64::from(self.u32()?)),
            5 => signed(i64::from(i32::from_le_bytes(self.bytes()?))),
            8 => Value::Text(self.text(u64::MAX, true)?),
            9 => self.list()?,
            10 => Value::Number(self.u64()?),
            11 => signed(i64::from_le_bytes(self.bytes()?)),
            kind => {
                self.skip_value(kind, 0)?;
                Value::Other
            }
        })
    }

    /// A list: kept if it is one of [`Value::Numbers`], else skipped.
    fn list(&mut self) -> Result<Value, HeaderError> {
        let (inner, count) = (self.u32()?, self.u64()?);
        if !matches!(inner, 4 | 5) || count > MAX_NUMBERS {
            self.skip_list(inner, count, 0)?;
            return Ok(Value::Other);
        }
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(self.u32()?);
        }
        // The signed ones below 0 are those with the highest bit.
        let sound = inner == 4 || numbers.iter().all(|number| *number <= i32::MAX.unsigned_abs());
        Ok(if sound { Value::Numbers(numbers.into_iter().map(u64::from).collect()) } else { Value::Other })
    }

    fn skip_value(&mut self, kind: u32, nesting: u32) -> Result<(), HeaderError> {
        match kind {
            8 => self.text(u64::MAX, false).map(drop),
            9 => {
                let (inner, count) = (self.u32()?, self.u64()?);
                self.skip_list(inner, count, nesting)
            }
            kind => match width(kind) {
                Some(width) => self.skip(width),
                None => Err(self.malformed("a metadata value has an unknown type")),
            },
        }
    }

    fn skip_list(&mut self, inner: u32, count: u64, nesting: u32) -> Result<(), HeaderError> {
        if let Some(width) = width(inner) {
            return self.skip(count.saturating_mul(width));
        }
        if nesting >= MAX_NESTING {
            return Err(self.malformed("its arrays are nested too deeply"));
        }
        // Every element takes bytes, so the file's end ends this loop whatever the count.
        for _ in 0..count {
            self.skip_value(inner, nesting + 1)?;
        }
        Ok(())
    }
}

/// Bytes of a value of a type with a fixed width.
fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}
