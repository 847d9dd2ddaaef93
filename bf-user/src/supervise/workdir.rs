//! The engine's own folder on the node: `${TMPDIR:-/tmp}/bf-<8 hex>/`, 0700, with its socket and its HOME.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use bf_core::digest::hex;

use crate::job::Work;

/// A unix socket's path must be below 108 bytes (unix(7)); below 100 leaves room for what engines append.
const MAX_SOCKET_PATH: usize = 100;

/// Length of what is appended to the folder for temporary files.
fn free_socket_path_length() -> usize {
    "/bf-00000000/engine.sock".len()
}

/// The folder. Removed with all in it at the end, by the supervisor or the guardian.
#[derive(Debug)]
pub(super) struct WorkDir {
    path: PathBuf,
}

impl WorkDir {
    /// Makes it under a name that nobody had before.
    pub(super) fn create() -> io::Result<Self> {
        let base = base(std::env::var_os("TMPDIR").map(PathBuf::from));
        for _ in 0..16 {
            let mut name = [0; 4];
            getrandom::fill(&mut name).map_err(io::Error::other)?;
            let path = base.join(format!("bf-{}", hex(&name)));
            // Fails if the name exists, whoever made it: nobody can lay a folder of theirs under us.
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    bf_core::publish::set_mode(&path, 0o700)?;
                    let work = Self { path };
                    for folder in ["home", "tmp", "scratch"] {
                        fs_err::create_dir(work.path.join(folder))?;
                    }
                    return Ok(work);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let message = format!("cannot create folder {}: {error}", path.display());
                    return Err(io::Error::new(error.kind(), message));
                }
            }
        }
        Err(io::Error::other(format!("no free name for a work folder in {}", base.display())))
    }

    /// A folder that is only spoken of.
    #[cfg(test)]
    pub(super) fn named(path: &str) -> Self {
        Self { path: path.into() }
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the engine listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.path.join("engine.sock")
    }

    /// The engine's HOME.
    pub(super) fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    /// The engine's TMPDIR.
    pub(super) fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// What a container has for /tmp and /var/tmp.
    pub(super) fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }

    /// Removes it. That it is gone already is fine.
    pub(super) fn remove(self) -> io::Result<()> {
        remove(&self.path)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // After an error on the way; a folder that cannot be removed here stays, and is private.
        let _ = remove(&self.path);
    }
}

/// Removes a work folder, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes what a job that was killed with its guardian left on this node, if it is ours and on this node.
pub(crate) fn remove_left(left: &Work) -> io::Result<()> {
    let name = left.path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("bf-"));
    let is_ours = |meta: &std::fs::Metadata| meta.is_dir() && meta.uid() == nix::unistd::geteuid().as_raw();
    let named = name.is_some_and(|name| name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if left.host == bf_core::host::name()
        && named
        && fs_err::symlink_metadata(&left.path).is_ok_and(|meta| is_ours(&meta))
    {
        return remove(&left.path);
    }
    Ok(())
}

/// The folder for temporary files, unless its path is too long for a socket in it, or somebody else could rename what is
/// in it.
fn base(tmpdir: Option<PathBuf>) -> PathBuf {
    tmpdir
        .filter(|path| path.is_absolute())
        .filter(|path| path.as_os_str().len() + free_socket_path_length() < MAX_SOCKET_PATH)
        .filter(|path| is_safe(path).unwrap_or(false))
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// Whether only root and we can rename what is in a folder: it and all above it belong to one of us, and others may write
/// only where the sticky bit keeps them from what is not theirs.
fn is_safe(folder: &Path) -> io::Result<bool> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o022;
    let us = nix::unistd::geteuid().as_raw();
    for component in fs_err::canonicalize(folder)?.ancestors() {
        let meta = fs_err::symlink_metadata(component)?;
        let open = meta.mode() & OTHERS_WRITE != 0 && meta.mode() & STICKY == 0;
        if !meta.is_dir() || open || ![0, us].contains(&meta.uid()) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_private_and_goes_away() {
        let work = WorkDir::create().unwrap();
        let path = work.path().to_owned();
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(work.socket().as_os_str().len() < MAX_SOCKET_PATH);
        work.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_long_tmpdir_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(90));
        fs_err::create_dir(&long).unwrap();
        assert_eq!(base(Some(long)), Path::new("/tmp"));
        assert_eq!(base(Some(dir.path().to_owned())), dir.path());
        bf_core::publish::set_mode(dir.path(), 0o777).unwrap();
        assert_eq!(base(Some(dir.path().to_owned())), Path::new("/tmp"), "others could rename in it");
        assert_eq!(base(None), Path::new("/tmp"));
    }
}
