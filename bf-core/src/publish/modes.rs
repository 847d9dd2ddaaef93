//! Modes and group of what is published, and flushing it: set explicitly, whatever the umask.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::fcntl::AtFlags;
use nix::unistd::{Gid, fchownat};
use walkdir::WalkDir;

use super::acl::remove_acl;
use super::folder;

/// What is published, which decides the modes of its files. Folders are 0755.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Files of a model: the policy's `file_mode`.
    Model,
    /// Everything else: 0644, and 0755 for what its owner may run.
    Data,
    /// What is run: 0755, whatever it was. Images are, as Apptainer makes them.
    Program,
}

/// The site's choice of modes and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Mode of a model's files: 0755 as the guide asks ("755 recursively"), or 0644.
    pub file_mode: u32,
    /// Group that everything gets; `None` leaves the group as the filesystem gives it.
    pub group: Option<Gid>,
    /// Whether it is for that group only: others get nothing.
    pub closed: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { file_mode: 0o755, group: None, closed: false }
    }
}

impl Policy {
    /// The mode of folders that everybody may enter.
    pub const FOLDER: u32 = 0o755;

    /// The same for what only the members of `group` may read.
    #[must_use]
    pub fn only_for(self, group: Gid) -> Self {
        Self { group: Some(group), closed: true, ..self }
    }

    /// The mode of folders.
    pub fn folder(&self) -> u32 {
        self.cut(Self::FOLDER)
    }

    fn cut(&self, mode: u32) -> u32 {
        if self.closed { mode & 0o770 } else { mode }
    }

    /// Sets modes and group of a staged file or tree, takes access control lists away, and flushes every file in it. Of links only the
    /// group is set.
    pub(super) fn seal(&self, path: &Path, content: Content) -> io::Result<()> {
        // Contents first: a folder must be readable until all in it is done, and is flushed after its entries.
        for entry in WalkDir::new(path).follow_links(false).contents_first(true) {
            let entry = entry.map_err(io::Error::other)?;
            if entry.file_type().is_dir() {
                self.seal_folder(entry.path())?;
            } else if entry.file_type().is_file() {
                let own = entry.metadata().map_err(io::Error::other)?.permissions().mode();
                remove_acl(entry.path())?;
                self.set_group(entry.path())?;
                set_mode(entry.path(), self.file(content, own))?;
                fs_err::File::open(entry.path())?.sync_all()?;
            } else {
                self.seal_link(entry.path())?;
            }
        }
        Ok(())
    }

    /// Sets mode and group of a folder. The access control list that it was given by the folder above, which would be handed on to all
    /// that is made in it, is taken away.
    fn seal_folder(&self, path: &Path) -> io::Result<()> {
        remove_acl(path)?;
        self.set_group(path)?;
        set_mode(path, self.folder())
    }

    /// The same of a folder that is open, whatever has its name by now.
    pub(super) fn seal_open(&self, folder: &OwnedFd) -> io::Result<()> {
        let own = folder::by_number(folder);
        remove_acl(&own)?;
        if self.group.is_some() {
            fchownat(folder, "", None, self.group, AtFlags::AT_EMPTY_PATH)?;
        }
        set_mode(&own, self.folder())
    }

    /// Makes the folder `path`, with these modes and this group, in a folder that is there. Nobody can put a link in its place meanwhile.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`]: there is something.
    pub fn make_folder(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = folder::root(parent.unwrap_or(Path::new(".")))?;
        let Some(name) = path.file_name() else { return Err(io::ErrorKind::AlreadyExists.into()) };
        match folder::make(parent, name, path, self.folder())? {
            (made, true) => self.seal_open(&made),
            (_, false) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    /// Sets the group of a link, which has no mode.
    pub(super) fn seal_link(&self, path: &Path) -> io::Result<()> {
        self.set_group(path)
    }

    /// The mode of a file with this content that has the mode `own`.
    pub fn file(&self, content: Content, own: u32) -> u32 {
        self.cut(match content {
            Content::Model => self.file_mode,
            Content::Program => 0o755,
            Content::Data if own & 0o100 != 0 => 0o755,
            Content::Data => 0o644,
        })
    }

    fn set_group(&self, path: &Path) -> io::Result<()> {
        match self.group {
            Some(group) => fs_err::os::unix::fs::lchown(path, None, Some(group.as_raw())),
            None => Ok(()),
        }
    }
}

/// Sets the permission bits of a file or folder, whatever the umask was when it was made.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Makes sure that `path` is a folder (not a link to one) that only its owner may enter.
pub fn private_folder(path: &Path) -> io::Result<()> {
    folder::private(path)
}

/// Makes sure of the same of a folder whose contents are going to be believed, and opens it.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`]: it belongs to somebody else, or others could write into it until now.
pub fn own_folder(path: &Path) -> io::Result<OwnedFd> {
    folder::own(path)
}
