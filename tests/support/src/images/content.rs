//! The bytes of a file, as a recipe: written when they are wanted, and never held as a whole.

use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::noise::Noise;

/// What a file of an image holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// So many bytes that no compression makes smaller.
    Noise {
        /// Which noise.
        seed: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// Source code, more or less: to be compressed to about a quarter.
    Code {
        /// Which text.
        seed: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// A table of small numbers, as weights and indices are: to be compressed to about a half.
    Table {
        /// Which numbers.
        seed: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// One block of noise, again and again, each time with another number in front.
    Pattern {
        /// Which block.
        seed: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// A part of a file of this machine.
    Part {
        /// The file.
        path: PathBuf,
        /// Where the part begins.
        from: u64,
        /// Length in bytes; the file has them.
        bytes: u64,
    },
    /// Several, one after the other.
    All(Vec<Content>),
    /// Nothing but zeros, with some bytes in between: offsets rise, and pieces do not touch.
    Sparse {
        /// Length in bytes.
        bytes: u64,
        /// Offset, and what is there: whole blocks of 512 bytes, but for the last one.
        pieces: Vec<(u64, Vec<u8>)>,
    },
}

const BLOCK: usize = 1 << 16;
const WORDS: [&str; 24] = [
    "self",
    "return",
    "import",
    "tensor",
    "for",
    "index",
    "if",
    "not",
    "None",
    "def",
    "shape",
    "value",
    "raise",
    "ValueError",
    "dtype",
    "in",
    "range",
    "len",
    "axis",
    "class",
    "and",
    "torch",
    "kwargs",
    "out",
];

impl Content {
    /// From text or bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bytes(bytes.as_ref().into())
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Noise { bytes, .. }
            | Self::Code { bytes, .. }
            | Self::Table { bytes, .. }
            | Self::Pattern { bytes, .. }
            | Self::Part { bytes, .. }
            | Self::Sparse { bytes, .. } => *bytes,
            Self::All(parts) => parts.iter().map(Self::len).sum(),
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes all of it.
    pub fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes),
            Self::Noise { seed, bytes } => {
                let mut noise = Noise::new(*seed);
                in_blocks(*bytes, out, |buffer| noise.fill(buffer))
            }
            Self::Code { seed, bytes } => {
                let mut text = Text { noise: Noise::new(*seed), rest: Vec::new() };
                in_blocks(*bytes, out, |buffer| text.fill(buffer))
            }
            Self::Table { seed, bytes } => {
                let mut noise = Noise::new(*seed);
                in_blocks(*bytes, out, |buffer| {
                    for cell in buffer.chunks_mut(4) {
                        let random = noise.next().to_le_bytes();
                        // Two bytes that say something, two of a few kinds.
                        let bytes = [random[3], random[4] & 0x3F, 0x3D, random[5] & 1];
                        cell.copy_from_slice(&bytes[..cell.len()]);
                    }
                })
            }
            Self::Pattern { seed, bytes } => {
                let mut block = vec![0; BLOCK];
                Noise::new(*seed).fill(&mut block);
                let mut number = 0_u64;
                in_blocks(*bytes, out, |buffer| {
                    block[..8].copy_from_slice(&number.to_le_bytes());
                    number += 1;
                    buffer.copy_from_slice(&block[..buffer.len()]);
                })
            }
            Self::Part { path, from, bytes } => {
                let mut file = fs_err::File::open(path)?;
                file.seek(SeekFrom::Start(*from))?;
                let copied = std::io::copy(&mut file.take(*bytes), out)?;
                assert_eq!(copied, *bytes, "{} is shorter than it was", path.display());
                Ok(())
            }
            Self::All(parts) => parts.iter().try_for_each(|part| part.write_to(out)),
            Self::Sparse { bytes, pieces } => {
                let mut at = 0;
                for (offset, piece) in pieces {
                    in_blocks(offset - at, out, |_| ())?;
                    out.write_all(piece)?;
                    at = offset + piece.len() as u64;
                }
                in_blocks(bytes - at, out, |_| ())
            }
        }
    }
}

/// Has a buffer of zeros filled and written until there are so many bytes.
fn in_blocks(bytes: u64, out: &mut dyn Write, mut fill: impl FnMut(&mut [u8])) -> Result<()> {
    let mut buffer = vec![0; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let count = usize::try_from(left.min(BLOCK as u64)).expect("a block");
        fill(&mut buffer[..count]);
        out.write_all(&buffer[..count])?;
        left -= count as u64;
    }
    Ok(())
}

/// Lines of words.
struct Text {
    noise: Noise,
    rest: Vec<u8>,
}

impl Text {
    fn fill(&mut self, buffer: &mut [u8]) {
        while self.rest.len() < buffer.len() {
            self.line();
        }
        buffer.copy_from_slice(&self.rest[..buffer.len()]);
        self.rest.drain(..buffer.len());
    }

    fn line(&mut self) {
        let line = &mut self.rest;
        line.extend(std::iter::repeat_n(b' ', 4 * self.noise.index(4)));
        for _ in 0..3 + self.noise.index(6) {
            let number = self.noise.next();
            line.extend_from_slice(WORDS[self.noise.index(WORDS.len())].as_bytes());
            // Names that nothing else has, as in real code.
            if number.is_multiple_of(4) {
                line.extend_from_slice(format!("_{:x}", (number >> 8) & 0xFFFF).as_bytes());
            }
            line.extend_from_slice([" ", "(", ", ", ".", " = "][self.noise.index(5)].as_bytes());
        }
        line.push(b'\n');
    }
}
