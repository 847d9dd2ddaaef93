//! Which compression a layer has, and what undoes it.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

/// The largest window of zstd, as a power of two: 128 MiB, the most that the format's authors ask a decoder to have.
const WINDOW: u32 = 27;
/// Compressed bytes that are read at once.
const INPUT: usize = 256 * 1024;

/// Why a layer cannot be unpacked.
#[derive(Debug)]
pub(super) enum Fault {
    Read(io::Error),
    Compressed(io::Error),
    Method(&'static str),
}

/// Marks what the input itself has said, so that it is told apart from what the decompressor says of the bytes.
#[derive(Debug, Error)]
#[error(transparent)]
struct FromInput(io::Error);

struct Marked<R>(R);

impl<R: Read> Read for Marked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io::Error::new(error.kind(), FromInput(error))),
                read => return read,
            }
        }
    }
}

/// What an [`io::Error`] of [`open`]'s reader is about.
pub(super) fn fault(error: io::Error) -> Fault {
    match error.downcast::<FromInput>() {
        Ok(FromInput(error)) => Fault::Read(error),
        Err(error) => Fault::Compressed(error),
    }
}

/// The uncompressed bytes of `input`. What it says of itself counts, not its declared media type: that is often wrong.
pub(super) fn open<'a>(input: impl Read + 'a) -> Result<Box<dyn Read + 'a>, Fault> {
    let mut input = Marked(input);
    let mut magic = Vec::with_capacity(10);
    (&mut input).take(10).read_to_end(&mut magic).map_err(fault)?;
    let method = Method::of(&magic);
    let whole = BufReader::with_capacity(INPUT, Cursor::new(magic).chain(input));
    Ok(match method? {
        Method::None => Box::new(whole),
        Method::Gzip => Box::new(MultiGzDecoder::new(whole)),
        Method::Zstd => Box::new(zstandard(whole).map_err(fault)?),
    })
}

fn zstandard<'a, R: BufRead>(input: R) -> io::Result<zstd::stream::read::Decoder<'a, R>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(WINDOW)?;
    Ok(decoder)
}

enum Method {
    None,
    Gzip,
    Zstd,
}

impl Method {
    fn of(magic: &[u8]) -> Result<Self, Fault> {
        match magic {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            // A frame, or one that is to be skipped.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(Fault::Method("xz")),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59] => {
                Err(Fault::Method("bzip2"))
            }
            _ => Ok(Self::None),
        }
    }
}
