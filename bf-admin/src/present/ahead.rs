//! The SHA-256 of everything in site.lock, worked out beforehand by several threads: comparing then only looks them up.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bf_core::report::human_bytes;
use bf_core::site::{Layout, Locked};
use bf_core::{digest, host};

use super::journal::{Journal, Stamp, Verified};
use crate::plan::Section;
use crate::printer::Printer;

/// How often it is said how far it is.
const BEAT: Duration = Duration::from_millis(200);

/// What was read, and by what it is seen that it is still the same: `setup` changes files after it has looked at them.
static KNOWN: OnceLock<Known> = OnceLock::new();

type Known = BTreeMap<PathBuf, Verified>;

/// The SHA-256 of a file, looked up or worked out.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    // A file of a snapshot is its blob.
    let known =
        |known: &'static Known| known.get(path).or_else(|| known.get(&fs_err::canonicalize(path).ok()?));
    match KNOWN.get().and_then(known) {
        Some(known) if fs_err::metadata(path).is_ok_and(|now| Stamp::of(&now) == known.file) => {
            Ok(known.sha256.clone())
        }
        _ => digest::of_file(path).map(|(sha256, _)| sha256),
    }
}

/// A file of the lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expected {
    bytes: u64,
    path: PathBuf,
    sha256: String,
}

/// How files are read.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    /// How many at a time; one for each core, where that is not said.
    pub(crate) threads: Option<NonZeroUsize>,
    /// The cache whose journal says what need not be read again, and is told what was read.
    pub(crate) resume: Option<&'a Layout>,
    /// Where it is said that something need not be read.
    pub(crate) printer: Printer,
}

/// Reads files of the lock that have the size it says, with little priority. How far it is is said on a terminal. Gives the journal, which
/// is to be finished when all is said.
pub(crate) fn read(mut files: Vec<Expected>, reading: &Reading<'_>) -> Option<Journal> {
    let threads = reading.threads.or_else(|| std::thread::available_parallelism().ok());
    // The largest first, so that none is begun when all others are done.
    files.sort_by(|a, b| b.cmp(a));
    files.dedup();
    let (journal, before) = reading.resume.and_then(Journal::open).unzip();
    let mut known = before.map(|before| unchanged(&files, &before)).unwrap_or_default();
    let bytes = |files: &mut dyn Iterator<Item = &Expected>| files.map(|file| file.bytes).sum::<u64>();
    let (all, total) = (files.len(), bytes(&mut files.iter()));
    files.retain(|file| !known.contains_key(&file.path));
    if !known.is_empty() {
        reading.printer.progress(&format!(
            "an earlier check was interrupted: {} of {all} files ({} of {}) were found right by it and have not changed since",
            known.len(),
            human_bytes(total - bytes(&mut files.iter())),
            human_bytes(total)
        ));
    }
    known.extend(hash(&files, threads.map_or(1, NonZeroUsize::get), journal.as_ref()));
    // Who asked first has the answer.
    let _ = KNOWN.set(known);
    journal
}

/// Those that are, to the last bit of what can be seen without reading them, as they were when they were found right.
fn unchanged(files: &[Expected], before: &BTreeSet<Verified>) -> Known {
    let same = |file: &Expected| {
        let stamp = Stamp::of(&fs_err::symlink_metadata(&file.path).ok()?);
        let now = Verified { file: stamp, sha256: file.sha256.clone() };
        before.contains(&now).then(|| (file.path.clone(), now))
    };
    files.iter().filter_map(same).collect()
}

/// The files of the lock that are as long as it says. `wanted`: of which things, by section and name.
pub(crate) fn files(
    layout: &Layout,
    locked: &Locked,
    wanted: impl Fn(Section, &str) -> bool,
) -> Vec<Expected> {
    let mut files = Vec::new();
    let mut add = |path: PathBuf, sha256: &str, bytes: u64| {
        let as_long = |metadata: std::fs::Metadata| metadata.is_file() && metadata.len() == bytes;
        if fs_err::symlink_metadata(&path).is_ok_and(as_long) {
            files.push(Expected { bytes, path, sha256: sha256.to_owned() });
        }
    };
    for (name, own) in locked.models.iter().filter(|(name, _)| wanted(Section::Models, name)) {
        let Ok(id) = bf_core::model::ModelId::parse_stored(name) else { continue };
        let blobs = layout.models().join(id.folder_name()).join("blobs");
        let files = own.all().flat_map(|own| own.files);
        files.for_each(|file| add(blobs.join(file.blob_name()), &file.sha256, file.bytes));
    }
    for (id, own) in locked.engines.iter().filter(|(id, _)| wanted(Section::Engines, id)) {
        let folder = layout.engine(id, &own.version);
        own.files.iter().for_each(|file| add(folder.join(&file.path), &file.sha256, file.bytes));
    }
    for (_, own) in locked.images.iter().filter(|(name, _)| wanted(Section::Images, name)) {
        add(layout.image_store().join(own.store_name()), &own.sha256, own.bytes);
    }
    for file in locked.toolkit.iter().flat_map(|toolkit| &toolkit.files) {
        if wanted(Section::Toolkit, &file.path) {
            add(layout.root().join(&file.path), &file.sha256, file.bytes);
        }
    }
    files
}

/// What cannot be read is left out: whoever asks for it tries again, and gets the error.
fn hash(files: &[Expected], threads: usize, journal: Option<&Journal>) -> Known {
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let (found, is_done) = (Mutex::new(BTreeMap::new()), AtomicBool::new(false));
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    let work = || {
        host::be_nice();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Ok(read) = one(&file.path, &done) else { continue };
            if let Some(journal) = journal.filter(|_| read.sha256 == file.sha256) {
                journal.note(&read);
            }
            found.lock().unwrap_or_else(PoisonError::into_inner).insert(file.path.clone(), read);
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

/// Reads a file that stays as it is meanwhile.
fn one(path: &Path, done: &AtomicU64) -> io::Result<Verified> {
    let mut open = fs_err::File::open(path)?;
    let before = Stamp::of(&open.metadata()?);
    let (sha256, _) = digest::copy(&mut open, &mut Count(done))?;
    let file = Stamp::of(&open.metadata()?);
    if file != before {
        return Err(io::Error::other(format!("{} changed while it was read", path.display())));
    }
    Ok(Verified { file, sha256 })
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
            let sha256 = digest::of_bytes(number.to_string().as_bytes());
            files.push(Expected { bytes: number.to_string().len() as u64, path, sha256 });
        }
        files.push(Expected { path: dir.path().join("gone"), ..files[0].clone() });
        for threads in [1, 3, 50] {
            let found = hash(&files, threads, None);
            assert_eq!(found.len(), 20);
            assert_eq!(found[&files[7].path].sha256, digest::of_bytes(b"7"));
            let before: BTreeSet<Verified> = found.values().cloned().collect();
            assert_eq!(unchanged(&files, &before), found);
        }
        // The same length and the same times: what no program can set tells.
        let before: BTreeSet<Verified> = hash(&files, 1, None).into_values().collect();
        let times = fs_err::metadata(&files[7].path).unwrap().modified().unwrap();
        fs_err::write(&files[7].path, "x").unwrap();
        std::fs::File::options().write(true).open(&files[7].path).unwrap().set_modified(times).unwrap();
        files[8].sha256 = "0".repeat(64);
        fs_err::rename(&files[9].path, dir.path().join("aside")).unwrap();
        fs_err::write(&files[9].path, "9").unwrap();
        let same = unchanged(&files, &before);
        assert_eq!(same.len(), 17);
        assert!([7, 8, 9].iter().all(|at| !same.contains_key(&files[*at].path)));
    }
}
