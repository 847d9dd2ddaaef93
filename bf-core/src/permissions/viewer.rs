//! What one user may do, by his id, all his groups, and ACLs where there are any.

use std::ffi::CString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{User, getgrouplist};
use rustix::io::Errno;

use crate::publish::{ACL, HANDED_DOWN};

const READ: u32 = 4;
const WRITE: u32 = 2;
const ENTER: u32 = 1;

/// A user whose access is told beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// His name.
    pub name: String,
    uid: u32,
    groups: Vec<u32>,
}

/// A line of an ACL: tag, permission bits, id.
type Entry = (u16, u32, u32);

impl Viewer {
    /// The user of this name or number; nobody, when there is none.
    pub fn named(name: &str) -> io::Result<Option<Self>> {
        let mut user = User::from_name(name)?;
        if let (None, Ok(uid)) = (&user, name.parse::<u32>()) {
            user = User::from_uid(uid.into())?;
        }
        let Some(user) = user else { return Ok(None) };
        let login = CString::new(user.name.clone()).map_err(io::Error::other)?;
        let groups = getgrouplist(&login, user.gid)?.into_iter().map(nix::unistd::Gid::as_raw).collect();
        Ok(Some(Self { name: user.name, uid: user.uid.as_raw(), groups }))
    }

    /// Whether he is in the group.
    pub(super) fn is_in(&self, group: u32) -> bool {
        self.uid == 0 || self.groups.contains(&group)
    }

    /// Whether he may pass through a folder.
    pub(super) fn may_pass(&self, path: &Path, metadata: &Metadata) -> bool {
        self.may(path, metadata, ENTER)
    }

    /// Whether he may read a file, or enter and list a folder.
    pub fn may_read(&self, path: &Path, metadata: &Metadata) -> bool {
        self.may(path, metadata, if metadata.is_dir() { READ | ENTER } else { READ })
    }

    /// Whether he may read and run a file.
    pub(super) fn may_run(&self, path: &Path, metadata: &Metadata) -> bool {
        self.may(path, metadata, READ | ENTER)
    }

    fn may(&self, path: &Path, metadata: &Metadata, needed: u32) -> bool {
        if self.uid == 0 {
            return true;
        }
        let mode = metadata.mode();
        // Without one, and where there are none, the bits tell all.
        let acl = acl(path).unwrap_or_else(|| {
            vec![(USER_OBJ, mode >> 6 & 7, 0), (GROUP_OBJ, mode >> 3 & 7, 0), (OTHER, mode & 7, 0)]
        });
        self.granted(&acl, metadata.uid(), metadata.gid(), needed)
    }

    /// As acl(5) describes it.
    fn granted(&self, acl: &[Entry], owner: u32, group: u32, needed: u32) -> bool {
        let mask = acl.iter().find(|(tag, ..)| *tag == MASK).map_or(7, |(_, bits, _)| *bits);
        let first = |wanted: u16| acl.iter().find(|(tag, ..)| *tag == wanted).map_or(0, |(_, bits, _)| *bits);
        let has = |bits: u32| bits & needed == needed;
        if owner == self.uid {
            return has(first(USER_OBJ));
        }
        if let Some((_, bits, _)) = acl.iter().find(|(tag, _, id)| *tag == USER && *id == self.uid) {
            return has(bits & mask);
        }
        let own = acl.iter().filter(|(tag, _, id)| match *tag {
            GROUP_OBJ => self.groups.contains(&group),
            GROUP => self.groups.contains(id),
            _ => false,
        });
        let own: Vec<u32> = own.map(|(_, bits, _)| bits & mask).collect();
        if own.is_empty() { has(first(OTHER)) } else { own.into_iter().any(has) }
    }
}

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// The ACL of a path, if it has one.
fn acl(path: &Path) -> Option<Vec<Entry>> {
    list(path, ACL)
}

fn list(path: &Path, name: &str) -> Option<Vec<Entry>> {
    let mut bytes = [0_u8; 1024];
    match rustix::fs::lgetxattr(path, name, &mut bytes[..]) {
        Ok(length) => parse(bytes.get(..length)?),
        Err(Errno::RANGE) => {
            // As long as the kernel lets an attribute be.
            let mut bytes = vec![0_u8; 1 << 16];
            let length = rustix::fs::lgetxattr(path, name, &mut bytes[..]).ok()?;
            parse(bytes.get(..length)?)
        }
        Err(_) => None,
    }
}

/// Whether an ACL of a path, or the one that it hands down, lets a named user or group write.
pub(super) fn lets_others_write(path: &Path) -> bool {
    [ACL, HANDED_DOWN].iter().filter_map(|name| list(path, name)).any(|acl| {
        let mask = acl.iter().find(|(tag, ..)| *tag == MASK).map_or(7, |(_, bits, _)| *bits);
        acl.iter().any(|(tag, bits, _)| matches!(*tag, USER | GROUP) && bits & mask & WRITE != 0)
    })
}

/// Version 2 of the kernel's form: a number, then eight bytes for each line.
fn parse(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (version, lines) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 {
        return None;
    }
    let (lines, rest) = lines.as_chunks::<8>();
    let entry = |line: &[u8; 8]| {
        let [t0, t1, b0, b1, i0, i1, i2, i3] = *line;
        (
            u16::from_le_bytes([t0, t1]),
            u16::from_le_bytes([b0, b1]).into(),
            u32::from_le_bytes([i0, i1, i2, i3]),
        )
    };
    rest.is_empty().then(|| lines.iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer() -> Viewer {
        Viewer { name: "u".into(), uid: 10, groups: vec![20, 21] }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let bits =
            |mode: u32| vec![(USER_OBJ, mode >> 6, 0), (GROUP_OBJ, mode >> 3 & 7, 0), (OTHER, mode & 7, 0)];
        let may = |mode, owner, group| viewer().granted(&bits(mode), owner, group, READ);
        assert!(may(0o400, 10, 1) && !may(0o044, 10, 1), "the owner's bits are the owner's");
        assert!(may(0o040, 1, 21) && !may(0o404, 1, 21), "the group's are the group's");
        assert!(may(0o004, 1, 1) && !may(0o440, 1, 1));
    }

    #[test]
    fn an_acl_names_users_and_groups_and_has_a_mask() {
        let acl = |named: Entry, mask: u32| {
            vec![(USER_OBJ, 7, 0), named, (GROUP_OBJ, 0, 0), (MASK, mask, 0), (OTHER, 0, 0)]
        };
        let may = |acl: &[Entry]| viewer().granted(acl, 1, 1, READ | ENTER);
        assert!(may(&acl((USER, 5, 10), 7)) && !may(&acl((USER, 5, 10), 4)) && !may(&acl((USER, 5, 11), 7)));
        assert!(may(&acl((GROUP, 5, 21), 7)) && !may(&acl((GROUP, 4, 21), 7)));
        let bytes = [2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 5, 0, 10, 0, 0, 0];
        assert_eq!(parse(&bytes), Some(vec![(USER_OBJ, 7, u32::MAX), (USER, 5, 10)]));
        assert_eq!(parse(&bytes[..7]), None);
        assert_eq!(parse(&[]), None);
    }

    #[test]
    fn users_are_known_by_name_and_number() {
        let root = Viewer::named("root").unwrap().unwrap();
        assert_eq!(Viewer::named("0").unwrap(), Some(root));
        assert_eq!(Viewer::named("no-such-user-here").unwrap(), None);
    }
}
