//! POSIX access control lists, as Linux keeps them in attributes (acl(5)): whether a path has one, and taking it away. What is
//! published has none, since folders hand theirs down to all that is made in them, and they outweigh modes.

use std::io;
use std::path::Path;

use rustix::io::Errno;

/// The attribute with the list of a path.
pub(crate) const ACCESS: &str = "system.posix_acl_access";
/// The attribute with the list that what is made in a folder gets.
pub(crate) const DEFAULT: &str = "system.posix_acl_default";

/// Whether a file or folder has an access control list, or hands one down. A link is not followed, and has none. Where the filesystem
/// has none, or nobody may ask, there is none.
pub fn has_acl(path: &Path) -> bool {
    // Asked for its length only.
    let has = |name: &str| rustix::fs::lgetxattr(path, name, &mut [0_u8; 0][..]).is_ok();
    has(ACCESS) || has(DEFAULT)
}

/// Takes the access control lists of a path away; links are followed, as those of `/proc/self/fd` must be. The permission bits stay: those
/// of the group are then what the list let through at most, so that modes are set afterwards.
///
/// # Errors
/// Not where there is none, or the filesystem has none.
pub(super) fn remove_acl(path: &Path) -> io::Result<()> {
    for name in [ACCESS, DEFAULT] {
        match rustix::fs::getxattr(path, name, &mut [0_u8; 0][..]) {
            Ok(_) => match rustix::fs::removexattr(path, name) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            },
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod testing {
    //! Lists as the kernel takes them: there may be no `setfacl`.

    use super::{ACCESS, DEFAULT, Path};

    /// Gives a path, or what is made in a folder, a list with one named user besides owner, group and others. Not where the filesystem
    /// has none.
    pub(crate) fn give(path: &Path, hand_down: bool, uid: u32, bits: u16) -> bool {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        let none = u32::MAX;
        for (tag, bits, id) in [(1, 7, none), (2, bits, uid), (4, 5, none), (0x10, 7, none), (0x20, 5, none)]
        {
            let (tag, bits): (u16, u16) = (tag, bits);
            bytes.extend(tag.to_le_bytes());
            bytes.extend(bits.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        let name = if hand_down { DEFAULT } else { ACCESS };
        rustix::fs::setxattr(path, name, &bytes, rustix::fs::XattrFlags::empty()).is_ok()
    }
}
