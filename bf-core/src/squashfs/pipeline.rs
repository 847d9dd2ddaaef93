//! The threads between the caller and the file, and the buffers that go round between them.

use std::fs::File;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::output::Output;
use super::store::{Data, End, Message, Store};
use super::worker::{self, Job, Work};
use super::{BLOCK, Options, SquashfsError};

/// Buffers for each worker: one that it compresses, the others so that it need not wait while the caller's side or the
/// file is slow for a moment.
const BUFFERS_EACH: usize = 4;

type Result<T, E = SquashfsError> = std::result::Result<T, E>;

/// Senders come before the threads: a thread ends when nobody can send to it, and threads are waited for on drop.
pub(super) struct Pipeline {
    jobs: Sender<Job>,
    messages: Sender<Message>,
    buffers: Receiver<Vec<u8>>,
    /// Buffers that may still be made.
    unmade: usize,
    threads: Threads,
}

/// Waits for the threads when it is dropped.
struct Threads {
    store: Option<JoinHandle<Result<(Output, Data)>>>,
    workers: Vec<JoinHandle<()>>,
}

impl Pipeline {
    /// Starts the threads, to write into `file` behind `offset` and `start` more bytes.
    pub(super) fn new(file: File, offset: u64, start: u64, options: &Options) -> Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        let (messages, told) = mpsc::channel();
        let (used, buffers) = mpsc::channel();
        let mut threads = Threads { store: None, workers: Vec::new() };
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..options.threads.get() {
            threads.workers.push(worker::start(number, options.compression, Arc::clone(&waiting))?);
        }
        let store = Store::new(Output::new(file, offset, start), jobs.clone(), used);
        let store = thread::Builder::new().name("store".into()).spawn(move || store.run(&told));
        threads.store = Some(store.map_err(SquashfsError::io("start a thread"))?);
        let unmade = options.threads.get().saturating_mul(BUFFERS_EACH).saturating_add(4);
        Ok(Self { jobs, messages, buffers, unmade, threads })
    }

    /// An empty buffer for a block; waits for one when all are on their way.
    pub(super) fn buffer(&mut self) -> Result<Vec<u8>> {
        match self.buffers.try_recv() {
            Ok(buffer) => Ok(buffer),
            Err(_) if self.unmade > 0 => {
                self.unmade -= 1;
                Ok(Vec::with_capacity(BLOCK))
            }
            Err(_) => self.buffers.recv().map_err(|_| SquashfsError::Stopped),
        }
    }

    /// Gives a block of the present file away.
    pub(super) fn block(&self, data: Vec<u8>) -> Result<()> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.job(Job { data, work: Work::Block, reply })?;
        self.tell(Message::Block(answer))
    }

    /// Gives the ends of the present file and of some short ones away.
    pub(super) fn tails(&self, data: Vec<u8>, ends: Vec<End>) -> Result<()> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.job(Job { data, work: Work::Tails(ends.iter().map(|end| end.end).collect()), reply })?;
        self.tell(Message::Tails(answer, ends))
    }

    /// Tells what has no data.
    pub(super) fn tell(&self, message: Message) -> Result<()> {
        self.messages.send(message).map_err(|_| SquashfsError::Stopped)
    }

    fn job(&self, job: Job) -> Result<()> {
        self.jobs.send(job).map_err(|_| SquashfsError::Stopped)
    }

    /// Waits for the store, which was told to finish or has failed.
    pub(super) fn join(self) -> Result<(Output, Data)> {
        let Self { jobs, messages, buffers, unmade: _, mut threads } = self;
        drop((jobs, messages, buffers));
        let store = threads.store.take().ok_or(SquashfsError::ThreadEnded)?;
        store.join().map_err(|_| SquashfsError::ThreadEnded)?
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // The store first, which can send jobs too. What they say does not matter any more.
        if let Some(store) = self.store.take() {
            let _ = store.join();
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}
