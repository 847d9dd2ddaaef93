//! Folders by descriptor, from one to the next. Who may write into a folder of the cache can put a link in the place of what was looked at
//! a moment ago, and root's `chmod` by path would follow it: what is made here is changed by what was opened, and no link is opened.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::geteuid;

use super::set_mode;

const WAY: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);

/// Opens a folder by a path that somebody trusted named; links in it are followed.
pub(super) fn root(path: &Path) -> io::Result<OwnedFd> {
    let opened = open(path, WAY | OFlag::O_DIRECTORY, Mode::empty());
    opened.map_err(|errno| named(path, "cannot open", errno))
}

/// Opens an entry of an open folder, a link as itself.
fn entry(folder: impl AsFd, name: &OsStr, more: OFlag) -> nix::Result<OwnedFd> {
    openat(folder, name, WAY | OFlag::O_NOFOLLOW | more, Mode::empty())
}

/// Opens the folder `name` in an open one; `path` is what it is called.
///
/// # Errors
/// [`io::ErrorKind::NotADirectory`]: it is a link, or no folder.
pub(super) fn enter(folder: impl AsFd, name: &OsStr, path: &Path) -> io::Result<OwnedFd> {
    entry(folder, name, OFlag::O_DIRECTORY).map_err(|errno| match errno {
        Errno::ENOTDIR | Errno::ELOOP => {
            let message = format!("{} is in the way: it should be a folder", path.display());
            io::Error::new(io::ErrorKind::NotADirectory, message)
        }
        errno => named(path, "cannot open", errno),
    })
}

/// Makes the folder `name` in an open one, with this mode or less, as the umask is, and opens it; whether it was made: it may be there.
pub(super) fn make(folder: impl AsFd, name: &OsStr, path: &Path, mode: u32) -> io::Result<(OwnedFd, bool)> {
    let is_new = match mkdirat(&folder, name, Mode::from_bits_truncate(mode)) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(errno) => return Err(named(path, "cannot create folder", errno)),
    };
    Ok((enter(&folder, name, path)?, is_new))
}

/// Opens what is at `below` in the folder `root`, a link as itself, by way of folders only.
pub(super) fn open_below(root: &Path, below: &Path) -> io::Result<OwnedFd> {
    let mut at = self::root(root)?;
    let mut parts = below.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path of the cache"));
        };
        let kind = if parts.peek().is_some() { OFlag::O_DIRECTORY } else { OFlag::empty() };
        at = entry(&at, name, kind)?;
    }
    Ok(at)
}

/// Makes sure that `path`, below the folder `root` and in a folder that is there, is a folder that only its owner may enter.
pub(super) fn private_below(root: &Path, path: &Path) -> io::Result<()> {
    let (parent, name) = split(path)?;
    let below = parent.strip_prefix(root).map_err(|_| outside(path))?;
    let parent = open_below(root, below).map_err(|error| named_io(path, "cannot create folder", &error))?;
    close(&make(parent, name, path, 0o700)?.0)
}

/// The same for a path that is in no cache: only its last part may not be a link.
pub(super) fn private(path: &Path) -> io::Result<()> {
    close(&anywhere(path)?)
}

/// The same for who believes what is in it: in a folder like `/tmp` anybody can have made it first.
pub(super) fn own(path: &Path) -> io::Result<OwnedFd> {
    let folder = anywhere(path)?;
    let found = fstat(&folder)?;
    let refused = |why: &str| {
        let message = format!("{} {why}: remove it, or choose another folder", path.display());
        io::Error::new(io::ErrorKind::PermissionDenied, message)
    };
    if found.st_uid != geteuid().as_raw() {
        return Err(refused(&format!("belongs to the user {}", found.st_uid)));
    }
    // Where there is an access control list, the group's bits are the most that it gives to anybody.
    if found.st_mode & 0o022 != 0 {
        return Err(refused("was open to others, who can have put anything into it"));
    }
    close(&folder)?;
    Ok(folder)
}

/// Opens a folder of any path, which is made if it is missing.
fn anywhere(path: &Path) -> io::Result<OwnedFd> {
    let (parent, name) = split(path)?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let parent = root(parent).map_err(|error| named_io(path, "cannot create folder", &error))?;
    Ok(make(parent, name, path, 0o700)?.0)
}

fn close(folder: &OwnedFd) -> io::Result<()> {
    if fstat(folder)?.st_mode & 0o7777 == 0o700 { Ok(()) } else { set_mode(&by_number(folder), 0o700) }
}

/// Renames what is below the folder `root` at `from` to the path `to`, which is in a folder of our own.
pub(super) fn move_out(root: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let (parent, name) = parent_of(root, from)?;
    renameat(parent, name, AT_FDCWD, to).map_err(|errno| named(from, "cannot move", errno))
}

/// Renames the path `from`, which is in a folder of our own, to `to` below the folder `root`.
pub(super) fn move_in(root: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let (parent, name) = parent_of(root, to)?;
    renameat(AT_FDCWD, from, parent, name).map_err(|errno| named(to, "cannot move something to", errno))
}

fn parent_of<'a>(root: &Path, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
    let (parent, name) = split(path)?;
    let below = parent.strip_prefix(root).map_err(|_| outside(path))?;
    Ok((open_below(root, below).map_err(|error| named_io(parent, "cannot open", &error))?, name))
}

/// The path by which an open file is changed, whatever its name is by now.
pub(super) fn by_number(open: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", open.as_raw_fd()).into()
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    path.parent().zip(path.file_name()).ok_or_else(|| outside(path))
}

fn outside(path: &Path) -> io::Error {
    let message = format!("{} is not a path of the cache", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

fn named(path: &Path, what: &str, errno: Errno) -> io::Error {
    named_io(path, what, &io::Error::from(errno))
}

fn named_io(path: &Path, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_in_the_place_of_a_folder_is_never_followed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mode = || fs_err::metadata(outside.path()).unwrap().permissions().mode() & 0o7777;
        set_mode(outside.path(), 0o755).unwrap();
        let link = dir.path().join("link");
        symlink(outside.path(), &link).unwrap();
        for error in [
            private(&link).unwrap_err(),
            own(&link).unwrap_err(),
            private_below(dir.path(), &link).unwrap_err(),
            private_below(dir.path(), &link.join("deep")).unwrap_err(),
            move_in(dir.path(), &link, &link.join("in")).unwrap_err(),
            make(root(dir.path()).unwrap(), OsStr::new("link"), &link, 0o755).unwrap_err(),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::NotADirectory, "{error}");
        }
        fs_err::write(outside.path().join("file"), "").unwrap();
        move_out(dir.path(), &link.join("file"), &dir.path().join("file")).unwrap_err();
        private_below(dir.path(), &dir.path().join("../x")).unwrap_err();
        assert_eq!((mode(), fs_err::read_dir(outside.path()).unwrap().count()), (0o755, 1));

        let own = dir.path().join("own");
        private(&own).unwrap();
        set_mode(&own, 0o755).unwrap();
        private_below(dir.path(), &own).unwrap();
        assert_eq!(fs_err::metadata(&own).unwrap().permissions().mode() & 0o7777, 0o700);
    }

    #[test]
    fn a_folder_that_somebody_else_could_fill_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own");
        own(&path).unwrap();
        set_mode(&path, 0o755).unwrap();
        own(&path).unwrap();
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);

        for mode in [0o770, 0o707, 0o1777] {
            set_mode(&path, mode).unwrap();
            let error = own(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            assert!(error.to_string().contains("own was open to others"), "{error}");
        }
        // Only root can give a folder away.
        set_mode(&path, 0o700).unwrap();
        if std::os::unix::fs::chown(&path, Some(54_321), None).is_ok() {
            let error = own(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            assert!(error.to_string().contains("own belongs to the user 54321: remove it"), "{error}");
        }
    }
}
