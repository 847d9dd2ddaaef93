//! The thread that writes data: takes blocks in the order of the files, finds what is there already, packs ends.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{self, Receiver, Sender};

use sha2::{Digest as _, Sha256};

use super::compress::{Digest, digest};
use super::output::Output;
use super::worker::{Done, Job, Work};
use super::{BLOCK, SquashfsError};

/// A worker's answer, now or later.
pub(super) type Answer = Receiver<Result<Done, SquashfsError>>;

/// What the caller's side tells, in the order of files and of their blocks.
pub(super) enum Message {
    /// Blocks of the present file that are holes.
    Hole(u32),
    /// A block of the present file.
    Block(Answer),
    /// Ends of the present file and of some that have nothing else.
    Tails(Answer, Vec<End>),
    /// The present file is not wanted.
    Abandon,
    /// There are no more files.
    Finish,
}

/// Where a file ends.
pub(super) struct End {
    /// Bytes of the whole file.
    pub(super) size: u64,
    /// Where its last bytes end in the buffer; they begin where the former file's end.
    pub(super) end: usize,
}

/// Several blocks with the same size, mostly one.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// As squashfs has it.
    pub(super) size: u32,
    pub(super) count: u32,
}

/// The blocks of a file, and of those that have the same.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    /// Where the first one is.
    pub(super) start: u64,
    /// How many are holes.
    pub(super) holes: u32,
    first_run: usize,
    end_run: usize,
}

/// Where the end of a file is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    /// The number of the block of fragments.
    pub(super) fragment: u32,
    /// Where in that block, uncompressed.
    pub(super) offset: u32,
}

/// A file's data.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    pub(super) size: u64,
    blocks: Option<u32>,
    pub(super) tail: Option<Tail>,
}

/// All data of a filesystem.
#[derive(Default)]
pub(super) struct Data {
    /// By the numbers of contents.
    pub(super) files: Vec<Stored>,
    /// Where each block of fragments is and its size as squashfs has it.
    pub(super) fragments: Vec<(u64, u32)>,
    /// How many files had nothing that was not there already.
    pub(super) duplicates: u64,
    lists: Vec<Blocks>,
    runs: Vec<Run>,
}

impl Data {
    /// The blocks of a file that has any.
    pub(super) fn blocks(&self, file: &Stored) -> Option<Blocks> {
        self.lists.get(usize::try_from(file.blocks?).ok()?).copied()
    }

    /// The sizes of blocks.
    pub(super) fn runs(&self, blocks: Blocks) -> &[Run] {
        self.runs.get(blocks.first_run..blocks.end_run).unwrap_or_default()
    }
}

/// A block of fragments is written when so many more are full, not when it happens to be compressed: its place must
/// not depend on time, and nobody should wait for it.
const LAG: usize = 48;

/// The file whose blocks are coming.
struct Present {
    start: u64,
    first_run: usize,
    hash: Sha256,
    /// Holes that are not in the hash yet.
    pending: u32,
    holes: u32,
}

/// What the thread has.
pub(super) struct Store {
    output: Output,
    jobs: Sender<Job>,
    /// Where buffers go back to the caller's side.
    buffers: Sender<Vec<u8>>,
    data: Data,
    present: Option<Present>,
    known_blocks: HashMap<Digest, u32>,
    known_tails: HashMap<Digest, Tail>,
    /// The block of fragments that is being filled, and those that are being compressed.
    fragment: Vec<u8>,
    pending: VecDeque<Answer>,
    closed: u32,
    spare: Vec<Vec<u8>>,
}

impl Store {
    pub(super) fn new(output: Output, jobs: Sender<Job>, buffers: Sender<Vec<u8>>) -> Self {
        Self {
            output,
            jobs,
            buffers,
            data: Data::default(),
            present: None,
            known_blocks: HashMap::new(),
            known_tails: HashMap::new(),
            fragment: Vec::with_capacity(BLOCK),
            pending: VecDeque::new(),
            closed: 0,
            spare: Vec::new(),
        }
    }

    /// Takes messages until the last.
    pub(super) fn run(mut self, messages: &Receiver<Message>) -> Result<(Output, Data), SquashfsError> {
        loop {
            match messages.recv() {
                Ok(Message::Hole(count)) => self.hole(count),
                Ok(Message::Block(answer)) => {
                    let done = wait(&answer)?;
                    self.block(&done)?;
                    self.recycle(done.data);
                }
                Ok(Message::Tails(answer, ends)) => {
                    let done = wait(&answer)?;
                    let mut start = 0;
                    for (End { size, end }, digest) in ends.into_iter().zip(done.digests) {
                        self.end(size, done.data.get(start..end).unwrap_or_default(), digest)?;
                        start = end;
                    }
                    self.recycle(done.data);
                }
                Ok(Message::Abandon) => {
                    if let Some(present) = self.present.take() {
                        self.output.rewind(present.start);
                        self.data.runs.truncate(present.first_run);
                    }
                }
                Ok(Message::Finish) => break,
                // The caller's side was dropped.
                Err(mpsc::RecvError) => return Err(SquashfsError::Stopped),
            }
        }
        if !self.fragment.is_empty() {
            self.close_fragment()?;
        }
        while !self.pending.is_empty() {
            self.write_fragment()?;
        }
        Ok((self.output, self.data))
    }

    fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        // The caller's side takes none any more when it is about to finish.
        let _ = self.buffers.send(buffer);
    }

    fn present(&mut self) -> &mut Present {
        self.present.get_or_insert_with(|| Present {
            start: self.output.position(),
            first_run: self.data.runs.len(),
            hash: Sha256::new(),
            pending: 0,
            holes: 0,
        })
    }

    /// Notes the sizes of blocks of the present file.
    fn note(&mut self, size: u32, count: u32) {
        let first_run = self.present().first_run;
        let runs = self.data.runs.len();
        match self.data.runs.last_mut() {
            Some(run) if runs > first_run && run.size == size => run.count += count,
            _ => self.data.runs.push(Run { size, count }),
        }
    }

    fn hole(&mut self, count: u32) {
        let present = self.present();
        present.pending += count;
        present.holes += count;
        self.note(0, count);
    }

    fn block(&mut self, done: &Done) -> Result<(), SquashfsError> {
        let Some(digest) = done.digests.first() else {
            self.hole(1);
            return Ok(());
        };
        let present = self.present();
        present.settle();
        present.hash.update([1]);
        present.hash.update(digest);
        self.note(done.size, 1);
        self.output.write(&done.data)
    }

    /// Ends the present file, or one without blocks. Only here are blocks of fragments written: those of a file must be
    /// without others between them.
    fn end(&mut self, size: u64, tail: &[u8], digest: Digest) -> Result<(), SquashfsError> {
        let blocks = self.present.take().map(|present| self.end_blocks(present)).transpose()?;
        let (tail, tail_known) = if tail.is_empty() { (None, true) } else { self.end_tail(tail, digest)? };
        if size > 0 && tail_known && blocks.is_none_or(|(_, known)| known) {
            self.data.duplicates += 1;
        }
        self.data.files.push(Stored { size, blocks: blocks.map(|(number, _)| number), tail });
        Ok(())
    }

    /// The number of the present file's blocks, and whether a former file has the same.
    fn end_blocks(&mut self, mut present: Present) -> Result<(u32, bool), SquashfsError> {
        present.settle();
        let key = digest(present.hash);
        if let Some(&number) = self.known_blocks.get(&key) {
            self.output.rewind(present.start);
            self.data.runs.truncate(present.first_run);
            return Ok((number, true));
        }
        let number = u32::try_from(self.data.lists.len())
            .map_err(|_| SquashfsError::TooMany { what: "files", limit: u64::from(u32::MAX) })?;
        self.known_blocks.insert(key, number);
        self.data.lists.push(Blocks {
            start: present.start,
            holes: present.holes,
            first_run: present.first_run,
            end_run: self.data.runs.len(),
        });
        Ok((number, false))
    }

    /// Where the end of a file is, and whether it was there before.
    fn end_tail(&mut self, tail: &[u8], digest: Digest) -> Result<(Option<Tail>, bool), SquashfsError> {
        if let Some(&known) = self.known_tails.get(&digest) {
            return Ok((Some(known), true));
        }
        if self.fragment.len() + tail.len() > BLOCK {
            self.close_fragment()?;
        }
        // A block has far less than 4 GiB.
        let offset = u32::try_from(self.fragment.len()).unwrap_or(0);
        let place = Tail { fragment: self.closed, offset };
        self.fragment.extend_from_slice(tail);
        self.known_tails.insert(digest, place);
        Ok((Some(place), false))
    }

    fn close_fragment(&mut self) -> Result<(), SquashfsError> {
        let next = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK));
        let data = std::mem::replace(&mut self.fragment, next);
        let (reply, answer) = mpsc::sync_channel(1);
        self.jobs.send(Job { data, work: Work::Fragment, reply }).map_err(|_| SquashfsError::ThreadEnded)?;
        self.pending.push_back(answer);
        // The last number says that a file has no fragment.
        self.closed = self
            .closed
            .checked_add(1)
            .filter(|&closed| closed < u32::MAX)
            .ok_or(SquashfsError::TooMany { what: "fragments", limit: u64::from(u32::MAX - 1) })?;
        if self.pending.len() > LAG { self.write_fragment() } else { Ok(()) }
    }

    fn write_fragment(&mut self) -> Result<(), SquashfsError> {
        let Some(answer) = self.pending.pop_front() else { return Ok(()) };
        let mut done = wait(&answer)?;
        self.data.fragments.push((self.output.position(), done.size));
        self.output.write(&done.data)?;
        done.data.clear();
        self.spare.push(done.data);
        Ok(())
    }
}

impl Present {
    /// Puts holes into the hash: as one number, however they came.
    fn settle(&mut self) {
        if self.pending > 0 {
            self.hash.update([0]);
            self.hash.update(self.pending.to_le_bytes());
            self.pending = 0;
        }
    }
}

fn wait(answer: &Answer) -> Result<Done, SquashfsError> {
    answer.recv().map_err(|_| SquashfsError::ThreadEnded)?
}
