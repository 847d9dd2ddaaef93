//! Unpacks and hashes a layer on a thread of its own, so that who reads the tar does not wait for either.
//!
//! [`BUFFERS`] buffers of [`SIZE`] bytes go round: memory does not depend on how well a layer is compressed. Each holds what one read
//! gave: the next one may wait long, and what is there may already show what is wrong with the layer.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, Scope};

use sha2::{Digest as _, Sha256};

use super::decompress::{self, Fault};
use crate::digest::hex;

/// Bytes of one buffer.
const SIZE: usize = 512 * 1024;
/// How many buffers there are.
const BUFFERS: usize = 8;

/// Why the bytes stop.
#[derive(Debug)]
pub(super) enum Stop {
    Fault(Fault),
    /// More bytes than were allowed.
    Limit,
}

enum Message {
    /// A buffer, and how many of its bytes are those of the layer.
    Bytes(Vec<u8>, usize),
    End(Result<Whole, Stop>),
}

/// What all of a layer's uncompressed bytes were.
#[derive(Debug)]
pub(super) struct Whole {
    /// Their SHA-256, as hex.
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

/// The uncompressed bytes of a layer.
pub(super) struct Stream {
    full: Receiver<Message>,
    empty: Sender<Vec<u8>>,
    bytes: Vec<u8>,
    /// How many of `bytes` are those of the layer, and how many of these were read.
    filled: usize,
    at: usize,
    end: Option<Result<Whole, Stop>>,
    is_gone: Arc<AtomicBool>,
}

/// The compressed bytes, as long as somebody wants them. One read of the decompressor takes in as much as its output needs, which may be
/// a whole layer.
struct Wanted<'a> {
    input: Box<dyn Read + Send + 'a>,
    is_gone: Arc<AtomicBool>,
}

impl Read for Wanted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_gone.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody reads it any more"));
        }
        self.input.read(buffer)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.is_gone.store(true, Ordering::Relaxed);
    }
}

/// Starts to unpack `input`, to at most `limit` bytes. The thread ends soon after the stream is dropped: when the read that it is in
/// returns.
pub(super) fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    input: Box<dyn Read + Send + 'env>,
    limit: u64,
) -> io::Result<Stream> {
    let (full_in, full) = sync_channel(BUFFERS);
    let (empty, empty_out) = channel();
    for _ in 0..BUFFERS {
        // Both ends are here.
        let _ = empty.send(Vec::new());
    }
    let is_gone = Arc::new(AtomicBool::new(false));
    let input = Wanted { input, is_gone: Arc::clone(&is_gone) };
    Builder::new()
        .name("layer".into())
        .spawn_scoped(scope, move || run(input, limit, &full_in, &empty_out))?;
    Ok(Stream { full, empty, bytes: Vec::new(), filled: 0, at: 0, end: None, is_gone })
}

fn run(input: Wanted<'_>, limit: u64, full: &SyncSender<Message>, empty: &Receiver<Vec<u8>>) {
    let end = match decompress::open(Box::new(input)) {
        Ok(input) => pump(input, limit, full, empty),
        Err(fault) => Some(Err(Stop::Fault(fault))),
    };
    if let Some(end) = end {
        // Who dropped the stream does not want to know.
        let _ = full.send(Message::End(end));
    }
}

/// Nothing when nobody reads any more.
fn pump(
    mut input: Box<dyn Read + '_>,
    limit: u64,
    full: &SyncSender<Message>,
    empty: &Receiver<Vec<u8>>,
) -> Option<Result<Whole, Stop>> {
    let mut hash = Sha256::new();
    let mut total = 0;
    loop {
        let mut buffer = empty.recv().ok()?;
        buffer.resize(SIZE, 0);
        let filled = match input.read(&mut buffer) {
            Ok(0) => return Some(Ok(Whole { sha256: hex(&hash.finalize()), bytes: total })),
            Ok(filled) => filled,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Some(Err(Stop::Fault(decompress::fault(error)))),
        };
        total += filled as u64;
        if total > limit {
            return Some(Err(Stop::Limit));
        }
        hash.update(buffer.get(..filled).unwrap_or_default());
        full.send(Message::Bytes(buffer, filled)).ok()?;
    }
}

impl Stream {
    /// Reads what is left, and says what it all was, or why it stopped.
    pub(super) fn finish(mut self) -> Result<Whole, Stop> {
        while !self.refill() {}
        let end = self.end.take();
        let gone = || Err(Stop::Fault(Fault::Read(io::Error::other("the thread that unpacks it has ended"))));
        end.unwrap_or_else(gone)
    }

    /// Takes the next buffer. Says whether that was the last.
    fn refill(&mut self) -> bool {
        if self.end.is_some() {
            return true;
        }
        (self.at, self.filled) = (0, 0);
        match self.full.recv() {
            Ok(Message::Bytes(bytes, filled)) => {
                self.filled = filled;
                // The thread may have ended.
                let _ = self.empty.send(std::mem::replace(&mut self.bytes, bytes));
                false
            }
            Ok(Message::End(end)) => {
                self.end = Some(end);
                true
            }
            Err(_) => true,
        }
    }
}

/// An error says only that there is one: [`Stream::finish`] says which.
impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at >= self.filled {
            if self.refill() {
                return match &self.end {
                    Some(Ok(_)) => Ok(&[]),
                    _ => Err(io::Error::other("the layer's bytes have stopped")),
                };
            }
        }
        Ok(self.bytes.get(self.at..self.filled).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.fill_buf()?;
        let read = bytes.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}
