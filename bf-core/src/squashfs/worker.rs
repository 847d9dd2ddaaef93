//! The threads that compress: blocks come in any order, answers go where each one is waited for.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use sha2::{Digest as _, Sha256};

use super::compress::{Compressor, Digest, digest, digest_of};
use super::{Compression, SquashfsError};

/// Of a size in a list of blocks or fragments: it is stored as it is.
pub(super) const RAW: u32 = 1 << 24;

/// What is to be done with some bytes.
pub(super) enum Work {
    /// A block of a file: find out whether it is a hole, else compress it and make its digest.
    Block,
    /// A block of fragments: compress it.
    Fragment,
    /// Ends of several files behind each other, by where each ends: make a digest of each.
    Tails(Vec<usize>),
}

/// Bytes for a worker.
pub(super) struct Job {
    pub(super) data: Vec<u8>,
    pub(super) work: Work,
    pub(super) reply: SyncSender<Result<Done, SquashfsError>>,
}

/// What came of a [`Job`].
pub(super) struct Done {
    /// What is to be stored, in the buffer that the job had.
    pub(super) data: Vec<u8>,
    /// The size as squashfs has it: with [`RAW`], or 0 for a hole.
    pub(super) size: u32,
    /// One for a block that is no hole, and one for each end.
    pub(super) digests: Vec<Digest>,
}

/// Starts a worker, which ends when nobody can send jobs any more.
pub(super) fn start(
    number: usize,
    compression: Compression,
    jobs: Arc<Mutex<Receiver<Job>>>,
) -> Result<JoinHandle<()>, SquashfsError> {
    let mut compressor = Compressor::new(compression)?;
    thread::Builder::new()
        .name(format!("compress-{number}"))
        .spawn(move || {
            loop {
                // The lock is held while waiting: who has it gets the next job.
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(Job { data, work, reply }) = job else { return };
                // Nobody waits for it any more when the writing has failed.
                let _ = reply.send(done(data, &work, &mut compressor));
            }
        })
        .map_err(SquashfsError::io("start a thread"))
}

fn done(mut data: Vec<u8>, work: &Work, compressor: &mut Compressor) -> Result<Done, SquashfsError> {
    match work {
        Work::Tails(ends) => {
            let mut start = 0;
            let mut digests = Vec::with_capacity(ends.len());
            for &end in ends {
                digests.push(digest_of(data.get(start..end).unwrap_or_default()));
                start = end;
            }
            Ok(Done { data, size: 0, digests })
        }
        Work::Block if is_zero(&data) => Ok(Done { data, size: 0, digests: Vec::new() }),
        Work::Block => {
            let size = pack(&mut data, compressor)?;
            // Of what is stored, which is less to hash; the size tells apart what is compressed and what is not.
            let hash = Sha256::new_with_prefix(size.to_le_bytes()).chain_update(&data);
            Ok(Done { data, size, digests: vec![digest(hash)] })
        }
        Work::Fragment => {
            let size = pack(&mut data, compressor)?;
            Ok(Done { data, size, digests: Vec::new() })
        }
    }
}

/// Compresses in place where that makes it smaller. Returns the size as squashfs has it.
fn pack(data: &mut Vec<u8>, compressor: &mut Compressor) -> Result<u32, SquashfsError> {
    let raw = match compressor.compress(data)? {
        Some(packed) => {
            data.clear();
            data.extend_from_slice(packed);
            0
        }
        None => RAW,
    };
    // A block has far less than 16 MiB.
    Ok(u32::try_from(data.len()).unwrap_or(0) | raw)
}

fn is_zero(data: &[u8]) -> bool {
    // Piece by piece: most blocks show in the first that they are none, and within one there is nothing to decide.
    data.chunks(512).all(|piece| piece.iter().fold(0, |all, byte| all | byte) == 0)
}
