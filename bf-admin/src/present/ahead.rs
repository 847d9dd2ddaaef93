//! The SHA-256 of everything in site.lock, worked out beforehand by several threads: comparing then only looks them up.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bf_core::report::human_bytes;
use bf_core::site::{Layout, Locked};
use bf_core::{digest, host};

/// How often it is said how far it is.
const BEAT: Duration = Duration::from_millis(200);

/// Of a command that only looks, what was read stays true for its short life.
static KNOWN: OnceLock<BTreeMap<PathBuf, String>> = OnceLock::new();

/// The SHA-256 of a file, looked up or worked out.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    // A file of a snapshot is its blob.
    let known = |known: &BTreeMap<PathBuf, String>| {
        known.get(path).or_else(|| known.get(&fs_err::canonicalize(path).ok()?)).cloned()
    };
    match KNOWN.get().and_then(known) {
        Some(sha256) => Ok(sha256),
        None => digest::of_file(path).map(|(sha256, _)| sha256),
    }
}

/// Reads all files of the lock that have the size it says, with little priority. How far it is is said on a terminal.
pub(crate) fn read(layout: &Layout, locked: &Locked, threads: Option<NonZeroUsize>) {
    let threads = threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let mut files = files(layout, locked);
    // The largest first, so that none is begun when all others are done.
    files.sort_by_key(|(path, bytes)| (std::cmp::Reverse(*bytes), path.clone()));
    files.dedup();
    let known = hash(&files, threads);
    // Who asked first has the answer.
    let _ = KNOWN.set(known);
}

fn files(layout: &Layout, locked: &Locked) -> Vec<(PathBuf, u64)> {
    let mut files = Vec::new();
    for (name, own) in &locked.models {
        let Ok(id) = bf_core::model::ModelId::parse_stored(name) else { continue };
        let blobs = layout.models().join(id.folder_name()).join("blobs");
        files.extend(own.files.iter().map(|file| (blobs.join(&file.sha256), file.bytes)));
    }
    for (id, own) in &locked.engines {
        let folder = layout.engine(id, &own.version);
        files.extend(own.files.iter().map(|file| (folder.join(&file.path), file.bytes)));
    }
    let store = layout.image_store();
    files.extend(locked.images.values().map(|own| (store.join(own.store_name()), own.bytes)));
    let toolkit = locked.toolkit.iter().flat_map(|toolkit| &toolkit.files);
    files.extend(toolkit.map(|file| (layout.root().join(&file.path), file.bytes)));
    let as_long = |path: &Path, bytes: u64| {
        fs_err::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes)
    };
    files.retain(|(path, bytes)| as_long(path, *bytes));
    files
}

/// What cannot be read is left out: whoever asks for it tries again, and gets the error.
fn hash(files: &[(PathBuf, u64)], threads: usize) -> BTreeMap<PathBuf, String> {
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let (found, is_done) = (Mutex::new(BTreeMap::new()), AtomicBool::new(false));
    let total: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    let work = || {
        host::be_nice();
        while let Some((path, _)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let read =
                fs_err::File::open(path).and_then(|mut file| digest::copy(&mut file, &mut Count(&done)));
            if let Ok((sha256, _)) = read {
                found.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), sha256);
            }
        }
    };
    let tell = || {
        let mut said = false;
        while !is_done.load(Ordering::Relaxed) {
            std::thread::park_timeout(BEAT);
            let now = done.load(Ordering::Relaxed);
            said |= said || now < total;
            say(&format!("\rreading {} of {}\u{1b}[K", human_bytes(now), human_bytes(total)));
        }
        if said {
            say("\r\u{1b}[K");
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(files.len())).map(|_| scope.spawn(work)).collect();
        let teller = io::stderr().is_terminal().then(|| scope.spawn(tell));
        for worker in workers {
            // A thread that failed has left files for later.
            let _ = worker.join();
        }
        is_done.store(true, Ordering::Relaxed);
        if let Some(teller) = teller {
            teller.thread().unpark();
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A closed stderr is no reason to stop working.
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Counts what passes.
struct Count<'a>(&'a AtomicU64);

impl Write for Count<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_read_once_whatever_the_number_of_threads() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for number in 0..20_u64 {
            let path = dir.path().join(number.to_string());
            fs_err::write(&path, number.to_string()).unwrap();
            files.push((path, 1));
        }
        files.push((dir.path().join("gone"), 1));
        for threads in [1, 3, 50] {
            let found = hash(&files, threads);
            assert_eq!(found.len(), 20);
            assert_eq!(found[&files[7].0], digest::of_bytes(b"7"));
        }
    }
}
