//! Extended attributes: which there can be, and their tables.

use std::collections::HashMap;

use super::SquashfsError;
use super::compress::{Compressor, Digest, digest_of};
use super::metadata::{Metadata, indexed};
use super::output::Output;
use super::superblock::NO_TABLE;
use super::tree::XattrSet;

/// Namespaces that squashfs has, in the order of their numbers in the format.
const PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

/// The longest whole name, and the longest value, that Linux knows.
const LONGEST: (usize, usize) = (255, 65536);

/// The number of the attributes of what has none.
pub(super) const NONE: u32 = u32::MAX;

/// Whether squashfs has a place for an extended attribute of this whole name. There is none for access control
/// lists (`system.posix_acl_access`) and for what other systems have.
pub fn storable(name: &[u8]) -> bool {
    split(name).is_some()
}

/// The number of the namespace and the rest of the name.
fn split(name: &[u8]) -> Option<(u16, &[u8])> {
    (0..).zip(PREFIXES).find_map(|(number, prefix)| match name.strip_prefix(prefix) {
        Some(rest) if !rest.is_empty() && !rest.contains(&0) && name.len() <= LONGEST.0 => {
            Some((number, rest))
        }
        _ => None,
    })
}

/// The sets of attributes that inodes have, each of them once.
pub(super) struct Xattrs {
    table: Metadata,
    sets: Vec<[u8; 16]>,
    known: HashMap<Digest, u32>,
}

impl Xattrs {
    pub(super) fn new() -> Self {
        Self { table: Metadata::new("extended attributes"), sets: Vec::new(), known: HashMap::new() }
    }

    /// The number of a set, for inodes. `path` is called for errors.
    pub(super) fn add(
        &mut self,
        xattrs: &XattrSet,
        compressor: &mut Compressor,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<u32, SquashfsError> {
        if xattrs.is_empty() {
            return Ok(NONE);
        }
        let mut bytes = Vec::new();
        for (name, value) in xattrs.iter() {
            let wrong = |reason| SquashfsError::Xattr { path: path(), name: name.to_vec(), reason };
            let (number, rest) =
                split(name).ok_or_else(|| wrong("squashfs has only those of user, trusted and security"))?;
            if value.len() > LONGEST.1 {
                return Err(wrong("it has more than 64 KiB"));
            }
            bytes.extend_from_slice(&number.to_le_bytes());
            // Both were just checked.
            bytes.extend_from_slice(&u16::try_from(rest.len()).unwrap_or(0).to_le_bytes());
            bytes.extend_from_slice(rest);
            bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(0).to_le_bytes());
            bytes.extend_from_slice(value);
        }
        let key = digest_of(&bytes);
        if let Some(&number) = self.known.get(&key) {
            return Ok(number);
        }
        let too_many =
            |_| SquashfsError::TooMany { what: "extended attributes", limit: u64::from(u32::MAX - 1) };
        let number = u32::try_from(self.sets.len()).map_err(too_many)?;
        let count = u32::try_from(xattrs.len()).map_err(too_many)?;
        let size = u32::try_from(bytes.len()).map_err(too_many)?;
        let mut set = [0; 16];
        let fields = self.table.place()?.reference().to_le_bytes().into_iter();
        let fields = fields.chain(count.to_le_bytes()).chain(size.to_le_bytes());
        set.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        self.table.write(&bytes, compressor)?;
        self.sets.push(set);
        self.known.insert(key, number);
        Ok(number)
    }

    /// Writes the tables. Returns what the superblock says of them.
    pub(super) fn finish(
        self,
        output: &mut Output,
        compressor: &mut Compressor,
    ) -> Result<u64, SquashfsError> {
        if self.sets.is_empty() {
            return Ok(NO_TABLE);
        }
        let start = output.position();
        self.table.finish(output, compressor)?;
        // The index has a head of its own, which is in front of it.
        let count = u32::try_from(self.sets.len()).unwrap_or(NONE);
        let head = [start.to_le_bytes().as_slice(), &count.to_le_bytes(), &[0; 4]].concat();
        indexed(&head, self.sets.iter(), output, compressor)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom};

    use super::*;
    use crate::squashfs::Compression;

    #[test]
    fn equal_sets_are_written_once() {
        let mut compressor = Compressor::new(Compression::Zstd(6)).unwrap();
        let mut output = Output::new(tempfile::tempfile().unwrap(), 0, 0);
        let mut xattrs = Xattrs::new();
        let one = XattrSet::from_iter([(b"user.a".to_vec(), b"A".to_vec())]);
        let two = XattrSet::from_iter([
            (b"security.bc".to_vec(), b"".to_vec()),
            (b"trusted.d".to_vec(), b"DD".to_vec()),
        ]);
        let mut add = |set: &XattrSet| xattrs.add(set, &mut compressor, Vec::new).unwrap();
        assert_eq!([add(&one), add(&two), add(&one), add(&XattrSet::default())], [0, 1, 0, NONE]);
        let head = xattrs.finish(&mut output, &mut compressor).unwrap();
        let (mut file, _) = output.finish().unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        // Too little to be compressed. Of each: namespace, name's length, name, value's length, value.
        let table = b"\x1f\x80\0\0\x01\0a\x01\0\0\0A\x02\0\x02\0bc\0\0\0\0\x01\0\x01\0d\x02\0\0\0DD";
        assert_eq!(&bytes[..33], table);
        // The table of sets may be compressed; behind it is where both tables are, and how many sets.
        let head = usize::try_from(head).unwrap();
        assert_eq!(&bytes[head..head + 16], b"\0\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0");
        assert_eq!(bytes[head + 16..head + 24], 33_u64.to_le_bytes());
    }

    #[test]
    fn three_namespaces_can_be_stored() {
        for name in ["user.a", "trusted.overlay.opaque", "security.capability", "user.system.x"] {
            assert!(storable(name.as_bytes()), "{name}");
        }
        for name in ["", "user.", "user", "system.posix_acl_access", "xuser.a", "USER.a", "user.a\0b"] {
            assert!(!storable(name.as_bytes()), "{name}");
        }
        assert!(storable(&[b"user.".as_slice(), &[b'x'; 250]].concat()));
        assert!(!storable(&[b"user.".as_slice(), &[b'x'; 251]].concat()));
    }
}
