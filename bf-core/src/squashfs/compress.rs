//! One thread's compressor, and the digest by which contents are known again.

use std::io;

use sha2::{Digest as _, Sha256};

use super::{BLOCK, Compression, SquashfsError};

/// The first half of a SHA-256: what tells contents apart. Two contents with the same one would have to be made for
/// it, with 2^64 attempts, by who could have put either in the image anyway.
pub(super) type Digest = [u8; 16];

/// What a finished hash comes to.
pub(super) fn digest(hash: Sha256) -> Digest {
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    half
}

/// The digest of some bytes.
pub(super) fn digest_of(data: &[u8]) -> Digest {
    digest(Sha256::new_with_prefix(data))
}

/// A context that is used again for each block, with room for the largest result.
pub(super) struct Compressor {
    engine: Engine,
    room: Vec<u8>,
}

enum Engine {
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    pub(super) fn new(compression: Compression) -> Result<Self, SquashfsError> {
        compression.check()?;
        let (engine, room) = match compression {
            Compression::Gzip(level) => {
                let level = libdeflater::CompressionLvl::new(i32::from(level))
                    .map_err(|_| SquashfsError::Compression { given: compression.to_string() })?;
                let mut engine = libdeflater::Compressor::new(level);
                let bound = engine.zlib_compress_bound(BLOCK);
                (Engine::Gzip(engine), bound)
            }
            Compression::Zstd(level) => {
                let engine = zstd::bulk::Compressor::new(level).map_err(SquashfsError::io(COMPRESS))?;
                (Engine::Zstd(engine), zstd::zstd_safe::compress_bound(BLOCK))
            }
        };
        Ok(Self { engine, room: vec![0; room] })
    }

    /// At most [`BLOCK`] bytes, compressed; nothing when that makes them no smaller.
    pub(super) fn compress(&mut self, data: &[u8]) -> Result<Option<&[u8]>, SquashfsError> {
        let packed = match &mut self.engine {
            Engine::Gzip(engine) => engine.zlib_compress(data, &mut self.room).map_err(io::Error::other),
            Engine::Zstd(engine) => engine.compress_to_buffer(data, self.room.as_mut_slice()),
        }
        .map_err(SquashfsError::io(COMPRESS))?;
        Ok(self.room.get(..packed).filter(|_| packed < data.len()))
    }
}

/// What fails when a compressor does.
const COMPRESS: &str = "compress the image's data";

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks that compress well, a little and not at all.
    fn blocks() -> Vec<Vec<u8>> {
        let mut state = 1_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        (0..40)
            .map(|block: u64| {
                let length = if block % 5 == 4 { 5000 } else { BLOCK };
                let words = 1 << (block % 12);
                (0..length).map(|_| (random() % words).to_le_bytes()[0]).collect()
            })
            .collect()
    }

    #[test]
    fn what_came_before_does_not_change_a_block() {
        let blocks = blocks();
        let levels =
            (1..=12).map(Compression::Gzip).chain([1, 3, 4, 6, 9, 13, 17, 19].map(Compression::Zstd));
        for compression in levels {
            let mut used = Compressor::new(compression).unwrap();
            for (number, block) in blocks.iter().enumerate() {
                let packed = used.compress(block).unwrap().map(<[u8]>::to_vec);
                // Fresh contexts take long; every fifth tells as much.
                if number % 5 > 2 {
                    let mut fresh = Compressor::new(compression).unwrap();
                    assert_eq!(fresh.compress(block).unwrap(), packed.as_deref(), "{compression} {number}");
                }
            }
        }
    }
}
