//! Header and descriptors of a SIF, byte by byte. Little endian throughout; the layout is that of the `sif` library which Apptainer
//! and Singularity share, as its structures and dumps of what it writes show it.

use super::SifError;

/// Bytes of the header.
pub const HEADER_SIZE: usize = 128;
/// Bytes of one descriptor.
pub const DESCRIPTOR_SIZE: usize = 585;
/// How many descriptors Apptainer makes room for.
pub const DESCRIPTORS: usize = 48;
/// A number of descriptors above this is no SIF's.
pub const MAX_DESCRIPTORS: u64 = 4096;
/// Where Apptainer puts the table of descriptors.
pub const TABLE_OFFSET: u64 = 4096;
/// Where the first object is, behind the table.
pub const DATA_OFFSET: u64 = TABLE_OFFSET + (DESCRIPTORS * DESCRIPTOR_SIZE) as u64;
/// A filesystem begins at a multiple of this, so that it can be mounted where it is.
pub const PARTITION_ALIGNMENT: u64 = 4096;
/// The group that Apptainer puts all objects in: what one signature signs.
pub const GROUP: u32 = 0xf000_0001;

/// What makes a SIF a program, with its end.
const LAUNCH: &[u8; 32] = b"#!/usr/bin/env run-singularity\n\0";
const MAGIC: &[u8; 10] = b"SIF_MAGIC\0";
const VERSION: &[u8; 3] = b"01\0";

/// The first bytes of a SIF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The line that a kernel reads when the file is run.
    pub launch: [u8; 32],
    /// The code of the primary architecture.
    pub architecture: [u8; 3],
    /// What is unique to the file.
    pub uuid: [u8; 16],
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When it was changed last, in seconds since 1970.
    pub modified: i64,
    /// How many descriptors are not in use.
    pub free: u64,
    /// How many descriptors there is room for.
    pub total: u64,
    /// Where the table of descriptors begins.
    pub table_offset: u64,
    /// How long that table is.
    pub table_size: u64,
    /// Where the first object may be.
    pub data_offset: u64,
    /// How long the objects are together, with the gaps between them.
    pub data_size: u64,
}

impl Header {
    /// Where `modified` is in the header's bytes.
    pub(super) const MODIFIED: usize = 72;
    /// Where `free` is.
    pub(super) const FREE: usize = 80;
    /// Where `data_size` is.
    pub(super) const DATA_SIZE: usize = 120;

    /// The header of a new file, as Apptainer lays one out.
    pub fn new(architecture: [u8; 3], uuid: [u8; 16], created: i64, objects: usize, data_size: u64) -> Self {
        Self {
            launch: *LAUNCH,
            architecture,
            uuid,
            created,
            modified: created,
            free: DESCRIPTORS.saturating_sub(objects) as u64,
            total: DESCRIPTORS as u64,
            table_offset: TABLE_OFFSET,
            table_size: (DESCRIPTORS * DESCRIPTOR_SIZE) as u64,
            data_offset: DATA_OFFSET,
            data_size,
        }
    }

    /// As it is in a file.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        let mut to = Cursor { bytes: &mut bytes, at: 0 };
        to.put(&self.launch);
        to.put(MAGIC);
        to.put(VERSION);
        to.put(&self.architecture);
        to.put(&self.uuid);
        to.put(&self.created.to_le_bytes());
        to.put(&self.modified.to_le_bytes());
        for number in
            [self.free, self.total, self.table_offset, self.table_size, self.data_offset, self.data_size]
        {
            to.put(&number.to_le_bytes());
        }
        bytes
    }

    /// Reads one, and believes no more of it than that it is one: the places in it are not compared with any file.
    ///
    /// # Errors
    /// It is no SIF's, of an unknown version, or has a negative length or place.
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Result<Self, SifError> {
        let mut from = Fields { bytes, at: 0 };
        let launch = from.take();
        if from.take::<10>() != *MAGIC {
            return Err(SifError::NotASif);
        }
        if from.take::<3>() != *VERSION {
            return Err(SifError::Unsupported);
        }
        Ok(Self {
            launch,
            architecture: from.take(),
            uuid: from.take(),
            created: from.signed(),
            modified: from.signed(),
            free: from.natural()?,
            total: from.natural()?,
            table_offset: from.natural()?,
            table_size: from.natural()?,
            data_offset: from.natural()?,
            data_size: from.natural()?,
        })
    }
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataType(pub i32);

impl DataType {
    /// The text that the image was made by.
    pub const DEFINITION: Self = Self(0x4001);
    /// A filesystem.
    pub const PARTITION: Self = Self(0x4004);
    /// A signature over a group of objects or over one.
    pub const SIGNATURE: Self = Self(0x4005);
    /// Any JSON document; its name says which.
    pub const JSON: Self = Self(0x4006);
}

/// The filesystem of a partition: its code.
pub const SQUASHFS: i32 = 1;
/// The part that a partition plays: the root filesystem.
pub const PRIMARY: i32 = 2;

/// What the table says of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is.
    pub kind: DataType,
    /// Its number, from 1.
    pub id: u32,
    /// The group that it belongs to, with the highest four bits set; 0 for none.
    pub group: u32,
    /// The object or group that it is about (a signature's), or 0.
    pub link: u32,
    /// Where its bytes begin.
    pub offset: u64,
    /// How many they are.
    pub size: u64,
    /// How many they are with the gap before them.
    pub size_with_gap: u64,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When it was changed last.
    pub modified: i64,
    /// Owner, which nothing uses.
    pub uid: i64,
    /// Group, which nothing uses.
    pub gid: i64,
    /// Its name, filled up with NUL.
    pub name: [u8; 128],
    /// What the kind has beside that, filled up with NUL.
    pub extra: [u8; 384],
}

impl Descriptor {
    /// Of a new object in the one group.
    pub fn new(kind: DataType, id: u32, offset: u64, size: u64, size_with_gap: u64, time: i64) -> Self {
        Self {
            kind,
            id,
            group: GROUP,
            link: 0,
            offset,
            size,
            size_with_gap,
            created: time,
            modified: time,
            uid: 0,
            gid: 0,
            name: [0; 128],
            extra: [0; 384],
        }
    }

    /// The same with a name, of which no more is kept than there is room for.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        for (to, from) in self.name.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        self
    }

    /// The same as the partition with the root filesystem, a squashfs.
    #[must_use]
    pub fn primary(mut self, architecture: [u8; 3]) -> Self {
        let mut to = Cursor { bytes: &mut self.extra, at: 0 };
        to.put(&SQUASHFS.to_le_bytes());
        to.put(&PRIMARY.to_le_bytes());
        to.put(&architecture);
        self
    }

    /// Of a partition: its filesystem, the part that it plays, its architecture.
    pub fn partition(&self) -> Option<(i32, i32, [u8; 3])> {
        let mut from = Fields { bytes: &self.extra, at: 0 };
        let fields = (i32::from_le_bytes(from.take()), i32::from_le_bytes(from.take()), from.take());
        (self.kind == DataType::PARTITION).then_some(fields)
    }

    /// Its name as text.
    pub fn name(&self) -> String {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        String::from_utf8_lossy(&self.name[..end]).into_owned()
    }

    /// As it is in a file.
    pub fn encode(&self) -> [u8; DESCRIPTOR_SIZE] {
        let mut bytes = [0; DESCRIPTOR_SIZE];
        let mut to = Cursor { bytes: &mut bytes, at: 0 };
        to.put(&self.kind.0.to_le_bytes());
        to.put(&[1]);
        for number in [self.id, self.group, self.link] {
            to.put(&number.to_le_bytes());
        }
        for number in [self.offset, self.size, self.size_with_gap] {
            to.put(&number.to_le_bytes());
        }
        for number in [self.created, self.modified, self.uid, self.gid] {
            to.put(&number.to_le_bytes());
        }
        to.put(&self.name);
        to.put(&self.extra);
        bytes
    }

    /// Reads one; nothing where it is not in use.
    ///
    /// # Errors
    /// Its length or place is negative, or it is in use in a way that is none.
    pub fn decode(bytes: &[u8; DESCRIPTOR_SIZE]) -> Result<Option<Self>, SifError> {
        let mut from = Fields { bytes, at: 0 };
        let kind = DataType(i32::from_le_bytes(from.take()));
        match from.take::<1>() {
            [0] => return Ok(None),
            [1] => {}
            _ => return Err(SifError::malformed("an entry of its table is neither in use nor free")),
        }
        Ok(Some(Self {
            kind,
            id: u32::from_le_bytes(from.take()),
            group: u32::from_le_bytes(from.take()),
            link: u32::from_le_bytes(from.take()),
            offset: from.natural()?,
            size: from.natural()?,
            size_with_gap: from.natural()?,
            created: from.signed(),
            modified: from.signed(),
            uid: from.signed(),
            gid: from.signed(),
            name: from.take(),
            extra: from.take(),
        }))
    }
}

/// Puts field behind field. The arrays here are as long as their fields together, which the tests hold to.
struct Cursor<'b> {
    bytes: &'b mut [u8],
    at: usize,
}

impl Cursor<'_> {
    fn put(&mut self, field: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.at).zip(field) {
            *to = *from;
        }
        self.at += field.len();
    }
}

/// Takes field behind field.
struct Fields<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        for (to, from) in field.iter_mut().zip(self.bytes.iter().skip(self.at)) {
            *to = *from;
        }
        self.at += N;
        field
    }

    fn signed(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }

    fn natural(&mut self) -> Result<u64, SifError> {
        u64::try_from(self.signed()).map_err(|_| SifError::malformed("a length or place in it is negative"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_descriptor_are_as_long_as_their_fields() {
        assert_eq!(32 + 10 + 3 + 3 + 16 + 8 * 8, HEADER_SIZE);
        assert_eq!(4 + 1 + 3 * 4 + 7 * 8 + 128 + 384, DESCRIPTOR_SIZE);
        assert_eq!(DATA_OFFSET, 32176);
    }

    #[test]
    fn what_is_written_is_read() {
        let header = Header::new(*b"04\0", [7; 16], -5, 5, 1 << 40);
        assert_eq!(Header::decode(&header.encode()).unwrap(), header);
        let entry =
            Descriptor::new(DataType::PARTITION, 4, 36864, 4096, 4500, 9).primary(*b"04\0").named("x");
        let read = Descriptor::decode(&entry.encode()).unwrap().unwrap();
        assert_eq!(read, entry);
        assert_eq!((read.name(), read.partition()), ("x".into(), Some((SQUASHFS, PRIMARY, *b"04\0"))));
        assert_eq!(Descriptor::decode(&[0; DESCRIPTOR_SIZE]).unwrap(), None);
    }
}
