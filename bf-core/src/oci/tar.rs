//! What is in a tar archive and where, without unpacking it: POSIX `ustar` with pax headers, and GNU's long names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use thiserror::Error;

/// Bytes of a block; everything in an archive begins at a multiple of it.
const BLOCK: u64 = 512;
/// Members that an archive may have. One of an image has three for each layer.
const MAX_MEMBERS: usize = 100_000;
/// Bytes that a name or a pax header may have.
const MAX_EXTENDED: u64 = 64 * 1024;
/// Links that are followed for one name.
const MAX_LINKS: usize = 16;

/// Why an archive cannot be read.
#[derive(Debug, Error)]
pub enum TarError {
    /// It is compressed, so that nothing in it has a place.
    #[error("it is compressed")]
    Compressed {
        /// What unpacks it.
        program: &'static str,
    },
    /// It is no archive, or a damaged one.
    #[error("it is no valid tar archive: {reason} at byte {offset}")]
    Invalid {
        /// What is wrong.
        reason: &'static str,
        /// Where.
        offset: u64,
    },
    /// It has something that images do not have.
    #[error("it has {what}")]
    Unsupported {
        /// What.
        what: &'static str,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where a file of the archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) size: u64,
}

#[derive(Debug)]
enum Member {
    File(Place),
    /// The name that it stands for, from the root of the archive.
    Link(String),
}

/// An archive and the places of its files.
#[derive(Debug)]
pub(super) struct Tar {
    file: Arc<File>,
    members: BTreeMap<String, Member>,
}

/// What headers in front of a member say of it.
#[derive(Default)]
struct Extended {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl Tar {
    /// Looks through the archive once.
    pub(super) fn scan(file: File) -> Result<Self, TarError> {
        let length = file.metadata()?.len();
        let mut tar = Self { file: Arc::new(file), members: BTreeMap::new() };
        let mut start = [0; 8];
        let known = tar.file.read_at(&mut start, 0)?;
        refuse_compressed(start.get(..known).unwrap_or_default())?;
        let mut offset = 0;
        let mut extended = Extended::default();
        let mut headers = 0_usize;
        loop {
            let mut block = [0; 512];
            // Some writers leave the two empty blocks at the end away.
            if offset == length && offset > 0 {
                return Ok(tar);
            }
            let invalid = |reason| TarError::Invalid { reason, offset };
            if length.saturating_sub(offset) < BLOCK {
                return Err(invalid("it is cut off"));
            }
            tar.file.read_exact_at(&mut block, offset)?;
            if block.iter().all(|byte| *byte == 0) {
                return Ok(tar);
            }
            headers += 1;
            // Each member has at most a handful of headers of its own.
            if headers > MAX_MEMBERS * 4 || tar.members.len() > MAX_MEMBERS {
                return Err(TarError::Unsupported { what: "more members than an image has" });
            }
            let header = Header::parse(&block).map_err(invalid)?;
            let is_extension = matches!(header.kind, b'x' | b'g' | b'L' | b'K');
            let size = match extended.size {
                Some(size) if !is_extension => size,
                _ => header.size,
            };
            let body = offset + BLOCK;
            let end =
                size.checked_add(body).filter(|end| *end <= length).ok_or(invalid("a member is cut off"))?;
            if is_extension {
                tar.extend(&mut extended, header.kind, Place { offset: body, size })?;
            } else {
                tar.keep(&header, std::mem::take(&mut extended), Place { offset: body, size })?;
            }
            offset = end.checked_next_multiple_of(BLOCK).ok_or(invalid("a member is too large"))?.min(length);
        }
    }

    /// Takes in a header that speaks of the next member.
    fn extend(&self, extended: &mut Extended, kind: u8, place: Place) -> Result<(), TarError> {
        if place.size > MAX_EXTENDED {
            return Err(TarError::Unsupported { what: "a name that is too long" });
        }
        let mut bytes = Vec::new();
        self.reader(place).read_to_end(&mut bytes)?;
        let name = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
        };
        match kind {
            b'L' => extended.path = Some(name(&bytes)),
            b'K' => extended.link = Some(name(&bytes)),
            _ => {
                for (key, value) in records(&bytes, place.offset)? {
                    if key.starts_with("GNU.sparse.") {
                        return Err(TarError::Unsupported { what: "sparse files" });
                    }
                    // What is said of all members speaks of owners and times, never of names.
                    if kind == b'x' {
                        match key {
                            "path" => extended.path = Some(value.to_owned()),
                            "linkpath" => extended.link = Some(value.to_owned()),
                            "size" => {
                                let bad =
                                    TarError::Invalid { reason: "a size is no number", offset: place.offset };
                                extended.size = Some(value.parse().map_err(|_| bad)?);
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, header: &Header, extended: Extended, place: Place) -> Result<(), TarError> {
        let path = extended.path.unwrap_or_else(|| header.path.clone());
        let Some(path) = resolve("", &path) else { return Ok(()) };
        let target = extended.link.unwrap_or_else(|| header.link.clone());
        let member = match header.kind {
            b'0' | 0 | b'7' => Some(Member::File(place)),
            b'1' => resolve("", &target).map(Member::Link),
            b'2' => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                resolve(folder, &target).map(Member::Link)
            }
            b'S' => return Err(TarError::Unsupported { what: "sparse files" }),
            _ => None,
        };
        match member {
            // As when unpacking: the last one of a name stays.
            Some(member) => self.members.insert(path, member),
            None => self.members.remove(&path),
        };
        Ok(())
    }

    /// Where a file is; links inside of the archive are followed.
    pub(super) fn find(&self, path: &str) -> Option<Place> {
        let mut name = resolve("", path)?;
        for _ in 0..MAX_LINKS {
            match self.members.get(&name)? {
                Member::File(place) => return Some(*place),
                Member::Link(target) => name.clone_from(target),
            }
        }
        None
    }

    /// Reads what is there.
    pub(super) fn reader(&self, place: Place) -> PlaceReader {
        PlaceReader { file: Arc::clone(&self.file), place }
    }
}

/// Reads a part of a file by position, so that several can be read at once.
#[derive(Debug)]
pub(super) struct PlaceReader {
    file: Arc<File>,
    place: Place,
}

impl Read for PlaceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.place.size).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.place.offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.place.offset += read as u64;
        self.place.size -= read as u64;
        Ok(read)
    }
}

struct Header {
    path: String,
    link: String,
    size: u64,
    kind: u8,
}

impl Header {
    fn parse(block: &[u8; 512]) -> Result<Self, &'static str> {
        let field = |from: usize, length: usize| block.get(from..from + length).unwrap_or_default();
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
        };
        let stored = number(field(148, 8)).ok_or("a checksum is no number")?;
        // The field itself counts as spaces.
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
            .sum();
        if stored != sum {
            return Err("a checksum is wrong");
        }
        let kind = field(156, 1).first().copied().unwrap_or_default();
        let size = number(field(124, 12)).ok_or("a size is no number")?;
        // Links and folders have no content, whatever they say.
        let size = if matches!(kind, b'1'..=b'6') { 0 } else { size };
        let mut path = text(field(0, 100));
        // GNU's format has times where POSIX has the front of the name.
        if field(257, 6) == b"ustar\0" {
            let front = text(field(345, 155));
            if !front.is_empty() {
                path = format!("{front}/{path}");
            }
        }
        Ok(Self { path, link: text(field(157, 100)), size, kind })
    }
}

/// Octal digits with blanks around them, or GNU's binary form of large numbers.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if *first == 0x80 {
        return rest.iter().try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() {
        return Some(0);
    }
    text.bytes().all(|byte| matches!(byte, b'0'..=b'7')).then(|| u64::from_str_radix(text, 8).ok()).flatten()
}

/// The records of a pax header: `<length> <key>=<value>\n`.
fn records(mut bytes: &[u8], offset: u64) -> Result<Vec<(&str, &str)>, TarError> {
    let invalid = || TarError::Invalid { reason: "a pax header is damaged", offset };
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(invalid)?;
        let digits =
            bytes.get(..space).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(invalid)?;
        let length: usize = digits.parse().map_err(|_| invalid())?;
        let record =
            bytes.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(invalid)?;
        // Values of owners' attributes may be any bytes; those that we read are text.
        if let Some((key, value)) = std::str::from_utf8(record).ok().and_then(|record| record.split_once('='))
        {
            found.push((key, value));
        }
        bytes = bytes.get(length..).ok_or_else(invalid)?;
    }
    Ok(found)
}

/// A name from the root of the archive, without `.` and `..`; nothing for one that leaves the archive.
fn resolve(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = if path.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for part in path.split('/') {
        match part {
            ".." => {
                parts.pop().filter(|part| !part.is_empty())?;
            }
            "" | "." => {}
            part => parts.push(part),
        }
    }
    Some(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"))
}

fn refuse_compressed(start: &[u8]) -> Result<(), TarError> {
    let magics: [(&[u8], &str); 4] = [
        (&[0x1f, 0x8b], "gzip"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
        (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
        (b"BZh", "bzip2"),
    ];
    match magics.into_iter().find(|(magic, _)| start.starts_with(magic)) {
        Some((_, program)) => Err(TarError::Compressed { program }),
        None => Ok(()),
    }
}
