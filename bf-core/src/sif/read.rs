//! What the table of any SIF says: Apptainer's, ours, signed or not. Believes nothing before it was compared with the file's length,
//! and lets no two objects share a byte.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::SifError;
use super::format::{
    DESCRIPTOR_SIZE, DataType, Descriptor, HEADER_SIZE, Header, MAX_DESCRIPTORS, PRIMARY, SQUASHFS,
};

/// As long as a document in a SIF may be to be read; those of real images have some kilobytes.
pub const MAX_DOCUMENT: u64 = 16 << 20;

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Which entry of the table it is, from 0.
    pub slot: usize,
    /// What that says.
    pub descriptor: Descriptor,
}

impl Object {
    /// The bytes of the file that it has.
    pub fn bytes(&self) -> Range<u64> {
        // That there is such an end was seen when it was read.
        self.descriptor.offset..self.descriptor.offset.saturating_add(self.descriptor.size)
    }

    /// Whether it is a signature.
    pub fn is_signature(&self) -> bool {
        self.descriptor.kind == DataType::SIGNATURE
    }

    /// Whether it is the root filesystem.
    pub fn is_primary(&self) -> bool {
        self.descriptor.partition().is_some_and(|(_, part, _)| part == PRIMARY)
    }

    /// Whether it is a squashfs.
    pub fn is_squashfs(&self) -> bool {
        self.descriptor.partition().is_some_and(|(filesystem, ..)| filesystem == SQUASHFS)
    }
}

/// Bytes of a file that are spoken for, and the object that they are; nothing for header and table.
pub(super) type Place<'s> = (Range<u64>, Option<&'s Object>);

/// What a SIF consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sif {
    /// The file's length.
    pub length: u64,
    /// Its header.
    pub header: Header,
    /// The objects, in the order of the table.
    pub objects: Vec<Object>,
}

impl Sif {
    /// Reads header and table of a file of `length` bytes.
    ///
    /// # Errors
    /// It is no SIF, it is cut off, or says something that cannot be.
    pub fn read(file: &mut (impl Read + Seek), length: u64) -> Result<Self, SifError> {
        if length < HEADER_SIZE as u64 {
            return Err(SifError::NotASif); // too short to tell
        }
        let mut raw = [0; HEADER_SIZE];
        fill(file, length, 0, &mut raw)?;
        let header = Header::decode(&raw)?;
        let needed = header
            .data_offset
            .checked_add(header.data_size)
            .ok_or(SifError::malformed("its data has no end"))?;
        if length < needed {
            return Err(SifError::Truncated { bytes: length, needed });
        }
        if header.total > MAX_DESCRIPTORS {
            return Err(SifError::malformed("it has room for more objects than any SIF"));
        }
        let mut sif = Self { length, header, objects: Vec::new() };
        let table = at(file, length, sif.header.table_offset, sif.table_bytes())?;
        for (slot, raw) in table.as_chunks::<DESCRIPTOR_SIZE>().0.iter().enumerate() {
            let Some(descriptor) = Descriptor::decode(raw)? else { continue };
            let end = descriptor
                .offset
                .checked_add(descriptor.size)
                .ok_or(SifError::malformed("an object has no end"))?;
            if length < end {
                return Err(SifError::Truncated { bytes: length, needed: end });
            }
            sif.objects.push(Object { slot, descriptor });
        }
        if sif.objects.iter().filter(|object| object.is_primary()).count() > 1 {
            return Err(SifError::malformed("it has two root filesystems"));
        }
        sif.places()?;
        Ok(sif)
    }

    /// Where the table is.
    pub fn table(&self) -> Range<u64> {
        self.header.table_offset..self.header.table_offset.saturating_add(self.table_bytes() as u64)
    }

    fn table_bytes(&self) -> usize {
        usize::try_from(self.header.total).unwrap_or(usize::MAX).saturating_mul(DESCRIPTOR_SIZE)
    }

    /// The root filesystem.
    ///
    /// # Errors
    /// There is none.
    pub fn primary(&self) -> Result<&Object, SifError> {
        let found = self.objects.iter().find(|object| object.is_primary());
        found.ok_or(SifError::malformed("it has no root filesystem"))
    }

    /// The JSON document of this name: `inspect-metadata.json`.
    pub fn document(&self, name: &str) -> Option<&Object> {
        let is =
            |object: &&Object| object.descriptor.kind == DataType::JSON && object.descriptor.name() == name;
        self.objects.iter().find(is)
    }

    /// The bytes of a small object.
    ///
    /// # Errors
    /// It is longer than [`MAX_DOCUMENT`] or cannot be read.
    pub fn content(&self, file: &mut (impl Read + Seek), object: &Object) -> Result<Vec<u8>, SifError> {
        let size = object.descriptor.size;
        if size > MAX_DOCUMENT {
            return Err(SifError::TooLong { what: "a document in it", limit: MAX_DOCUMENT });
        }
        at(file, self.length, object.descriptor.offset, usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// Everything that has a place, in its order: header, table (neither with an object), objects.
    pub(super) fn places(&self) -> Result<Vec<Place<'_>>, SifError> {
        let mut places = vec![(0..HEADER_SIZE as u64, None), (self.table(), None)];
        places.extend(self.objects.iter().map(|object| (object.bytes(), Some(object))));
        places.sort_by_key(|(range, _)| (range.start, range.end));
        let overlap = places.iter().zip(places.iter().skip(1)).any(|(one, next)| next.0.start < one.0.end);
        if overlap {
            return Err(SifError::malformed("two parts of it share bytes"));
        }
        Ok(places)
    }
}

/// `size` bytes at `from` of a file of `length` bytes.
pub(crate) fn at(
    file: &mut (impl Read + Seek),
    length: u64,
    from: u64,
    size: usize,
) -> Result<Vec<u8>, SifError> {
    let end = from.checked_add(size as u64).ok_or(SifError::malformed("a part of it has no end"))?;
    // Before there is memory for it.
    if length < end {
        return Err(SifError::Truncated { bytes: length, needed: end });
    }
    let mut buffer = vec![0; size];
    fill(file, length, from, &mut buffer)?;
    Ok(buffer)
}

/// Fills `buffer` with what is at `from`.
pub(super) fn fill(
    file: &mut (impl Read + Seek),
    length: u64,
    from: u64,
    buffer: &mut [u8],
) -> Result<(), SifError> {
    file.seek(SeekFrom::Start(from))?;
    file.read_exact(buffer).map_err(|error| match error.kind() {
        // It became shorter while we read it.
        io::ErrorKind::UnexpectedEof => {
            SifError::Truncated { bytes: length, needed: from.saturating_add(buffer.len() as u64) }
        }
        _ => SifError::Io(error),
    })
}
