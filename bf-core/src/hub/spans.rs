//! Which bytes of a file are there: parts that several connections write, and the journal of them that outlives a kill.
//!
//! The journal, `<hash>.ranges`, has a line of 34 bytes for each part: where it begins, where what is written of it ends, as 16 hex
//! digits each. A line only ever says less than what is there, so none of them has to be removed. A file without a
//! journal was written from its beginning on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;

use crate::bounded::{self, Links};

/// Bytes that may be written before the journal says so.
const UNSAID: u64 = 32 * 1024;
/// Bytes of a line.
const LINE: u64 = 34;
/// Bytes that a journal may have: parts of the largest file, many times over.
const MAX_JOURNAL: u64 = 4 * 1024 * 1024;

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u64,
    /// Up to here it is written.
    at: u64,
    /// Up to here it is somebody's to write.
    end: u64,
    /// Its line, and what it says.
    line: u64,
    said: u64,
}

/// The parts of one file, sorted, none over another.
#[derive(Debug)]
pub(super) struct Spans {
    size: u64,
    spans: Vec<Span>,
    journal: Option<File>,
    lines: u64,
    path: PathBuf,
    is_finishing: bool,
}

impl Spans {
    /// What an earlier run left, in a file that has `length` bytes now. `path` is the journal's.
    pub(super) fn load(path: &Path, size: u64, length: u64) -> io::Result<Self> {
        let mut spans = Self {
            size,
            spans: Vec::new(),
            journal: None,
            lines: 0,
            path: path.to_owned(),
            is_finishing: false,
        };
        match bounded::read(path, MAX_JOURNAL, Links::Refuse) {
            Ok(bytes) => {
                spans.lines = (bytes.len() as u64).div_ceil(LINE);
                spans.journal = Some(open(path)?);
                let mut found: Vec<(u64, u64)> = bytes
                    .chunks(usize::try_from(LINE).unwrap_or(usize::MAX))
                    .filter_map(read_line)
                    .map(|(start, at)| (start, at.min(length)))
                    .filter(|(start, at)| start < at)
                    .collect();
                found.sort_unstable();
                for (start, at) in found {
                    spans.add(start, at);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => spans.add(0, length),
            Err(error) => return Err(error),
        }
        Ok(spans)
    }

    /// Adds what is written, in the order of the beginnings.
    fn add(&mut self, start: u64, at: u64) {
        match self.spans.last_mut() {
            Some(last) if start <= last.at => {
                last.at = last.at.max(at);
                last.end = last.at;
            }
            _ if start < at => self.spans.push(Span { start, at, end: at, line: 0, said: at }),
            _ => {}
        }
    }

    /// Bytes that are written.
    pub(super) fn done(&self) -> u64 {
        self.spans.iter().map(|span| span.at - span.start).sum()
    }

    /// Bytes that are nobody's to write yet.
    pub(super) fn unclaimed(&self) -> u64 {
        self.size - self.spans.iter().map(|span| span.end - span.start).sum::<u64>()
    }

    /// The first part that is nobody's.
    fn gap(&self) -> Option<(u64, u64)> {
        let mut from = 0;
        for span in &self.spans {
            if from < span.start {
                return Some((from, span.start));
            }
            from = span.end;
        }
        (from < self.size).then_some((from, self.size))
    }

    /// Takes the first part that is nobody's, or `most` bytes of it; nothing if there is none.
    pub(super) fn claim(&mut self, most: u64) -> io::Result<Option<(u64, u64)>> {
        let Some((start, end)) = self.gap() else { return Ok(None) };
        let end = end.min(start.saturating_add(most));
        if self.journal.is_none() && (start, end) != (self.done(), self.size) {
            self.begin_journal()?;
        }
        let line = self.lines;
        self.lines += 1;
        let place = self.spans.partition_point(|span| span.start < start);
        self.spans.insert(place, Span { start, at: start, end, line, said: start });
        Ok(Some((start, end)))
    }

    /// From now on it is not written from its beginning on.
    fn begin_journal(&mut self) -> io::Result<()> {
        let journal = open(&self.path)?;
        self.lines = 0;
        for span in &mut self.spans {
            span.line = self.lines;
            self.lines += 1;
            span.said = span.at;
            write_line(&journal, span)?;
        }
        self.journal = Some(journal);
        Ok(())
    }

    /// So many more bytes of the part that begins at `start` are written: those of all parts.
    pub(super) fn advance(&mut self, start: u64, bytes: u64) -> io::Result<u64> {
        if let Ok(place) = self.spans.binary_search_by_key(&start, |span| span.start)
            && let Some(span) = self.spans.get_mut(place)
        {
            span.at = (span.at + bytes).min(span.end);
            if let Some(journal) = &self.journal
                && (span.at - span.said >= UNSAID || span.at == span.end)
            {
                span.said = span.at;
                write_line(journal, span)?;
            }
        }
        Ok(self.done())
    }

    /// What of the part that begins at `start` is not written is nobody's again.
    pub(super) fn release(&mut self, start: u64) {
        if let Ok(place) = self.spans.binary_search_by_key(&start, |span| span.start)
            && let Some(span) = self.spans.get_mut(place)
        {
            span.end = span.at;
        }
        self.spans.retain(|span| span.start < span.end);
    }

    /// Up to where it is written without a gap, if it is up to `from`.
    pub(super) fn written_from(&self, from: u64) -> u64 {
        let mut to = from;
        for span in &self.spans {
            if span.start <= to && to < span.at {
                to = span.at;
            }
        }
        to
    }

    /// Whether all is written and this is the first one to be told.
    pub(super) fn finish(&mut self) -> bool {
        let is_first = !self.is_finishing && self.done() == self.size;
        self.is_finishing |= is_first;
        is_first
    }

    /// Forgets all of it.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.spans.clear();
        self.lines = 0;
        self.is_finishing = false;
        self.remove_journal()
    }

    /// Removes the journal of a file that has come to its end. What is known stays: who looks for something to do must not find it here.
    pub(super) fn remove_journal(&mut self) -> io::Result<()> {
        self.journal = None;
        match fs_err::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Opens a file for us to write, and makes it if it is not there. A link is refused.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let opened = options.custom_flags(Links::Refuse.flags()).open(path);
    Ok(bounded::regular(path, opened)?.into_parts().0)
}

fn write_line(journal: &File, span: &Span) -> io::Result<()> {
    let line = format!("{:016x} {:016x}\n", span.start, span.at);
    journal.write_all_at(line.as_bytes(), span.line * LINE)
}

/// A line that was written as a whole.
fn read_line(line: &[u8]) -> Option<(u64, u64)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (start, at) = line.split_once(' ').filter(|_| line.len() == 33)?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(at, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(path: &Path, size: u64, length: u64) -> Spans {
        Spans::load(path, size, length).unwrap()
    }

    #[test]
    fn a_file_that_is_written_in_one_go_needs_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ranges");
        let mut spans = loaded(&path, 100, 40);
        assert_eq!((spans.done(), spans.unclaimed()), (40, 60));
        assert_eq!(spans.claim(u64::MAX).unwrap(), Some((40, 100)));
        assert_eq!(spans.claim(u64::MAX).unwrap(), None);
        assert_eq!(spans.advance(40, 60).unwrap(), 100);
        assert!(spans.finish() && !spans.finish());
        assert!(!path.exists());
    }

    #[test]
    fn parts_are_known_again_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ranges");
        let mut spans = loaded(&path, 1000, 100);
        let mut claims: Vec<_> = (0..3).map(|_| spans.claim(200).unwrap().unwrap()).collect();
        assert_eq!(claims, [(100, 300), (300, 500), (500, 700)]);
        spans.advance(100, 200).unwrap();
        spans.advance(300, 10).unwrap(); // too few to be said
        spans.advance(500, 200).unwrap();
        assert_eq!((spans.done(), spans.written_from(0), spans.written_from(500)), (510, 310, 700));
        drop(spans);
        let mut again = loaded(&path, 1000, 700);
        assert_eq!((again.done(), again.written_from(0)), (500, 300));
        claims = std::iter::from_fn(|| again.claim(u64::MAX).unwrap()).collect();
        assert_eq!(claims, [(300, 500), (700, 1000)]);
        again.advance(300, 200).unwrap();
        again.release(700);
        assert_eq!((again.done(), again.unclaimed()), (700, 300));
        drop(again);
        // A shorter file than the journal says, and lines that are none.
        assert_eq!(loaded(&path, 1000, 250).done(), 250);
        let mut bytes = fs_err::read(&path).unwrap();
        bytes[0] = b'x';
        bytes.extend(b"\nffffffffffffffff 0000000000000000\nhalf");
        fs_err::write(&path, bytes).unwrap();
        assert_eq!(loaded(&path, 1000, 1000).done(), 600);
        let mut cleared = loaded(&path, 1000, 1000);
        cleared.clear().unwrap();
        assert!(cleared.done() == 0 && !path.exists());
    }
}
