//! The engine's own folder on the node: `${TMPDIR:-/tmp}/bf-<8 hex>/`, 0700, with its socket and its HOME.
//!
//! Supervisor and guardian hold a lock in it. One that nobody holds was left by a job that was killed as a whole, and the
//! next job of the same user on the same node removes it.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use bf_core::digest::hex;
use nix::fcntl::{Flock, FlockArg};

use crate::job::Work;

/// A unix socket's path must be below 108 bytes (unix(7)); below 100 leaves room for what engines append.
const MAX_SOCKET_PATH: usize = 100;

/// The file in the folder that is locked.
const LOCK: &str = "lock";

/// Length of what is appended to the folder for temporary files.
fn free_socket_path_length() -> usize {
    "/bf-00000000/engine.sock".len()
}

/// The folder. Removed with all in it at the end, by the supervisor or the guardian.
#[derive(Debug)]
pub(super) struct WorkDir {
    path: PathBuf,
    _hold: Option<Hold>,
}

/// As long as somebody has this, the folder is in use. The kernel lets go of it with the process.
#[derive(Debug)]
pub(super) struct Hold {
    _file: Flock<std::fs::File>,
}

/// Holds a folder. It is on the node's own filesystem, where locks can be trusted.
pub(super) fn hold(path: &Path) -> io::Result<Hold> {
    let mut options = fs_err::OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path.join(LOCK))?.into_file();
    let locked =
        Flock::lock(file, FlockArg::LockSharedNonblock).map_err(|(_, errno)| io::Error::from(errno))?;
    Ok(Hold { _file: locked })
}

impl WorkDir {
    /// Makes it under a name that nobody had before.
    pub(super) fn create() -> io::Result<Self> {
        let base = base(std::env::var_os("TMPDIR").map(PathBuf::from));
        sweep(&base);
        for _ in 0..16 {
            let mut name = [0; 4];
            getrandom::fill(&mut name).map_err(io::Error::other)?;
            let path = base.join(format!("bf-{}", hex(&name)));
            // Fails if the name exists, whoever made it: nobody can lay a folder of theirs under us.
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    bf_core::publish::set_mode(&path, 0o700)?;
                    // Somebody who cleans up may have been quicker: then another name will do.
                    let Ok(held) = hold(&path) else { continue };
                    let work = Self { path, _hold: Some(held) };
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
        Self { path: path.into(), _hold: None }
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

/// Removes what killed jobs of this user left in `base`. What cannot be removed is left to the next.
fn sweep(base: &Path) {
    let Ok(entries) = fs_err::read_dir(base) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_ours(path)) {
        let Ok(file) = fs_err::File::open(path.join(LOCK)) else { continue };
        if let Ok(_held) = Flock::lock(file.into_file(), FlockArg::LockExclusiveNonblock) {
            let _ = remove(&path);
        }
    }
}

/// Whether it is a work folder of this user.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("bf-"));
    let named = name.is_some_and(|name| name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let us = nix::unistd::geteuid().as_raw();
    named && fs_err::symlink_metadata(path).is_ok_and(|meta| meta.is_dir() && meta.uid() == us)
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
    if left.host == bf_core::host::name() && is_ours(&left.path) {
        return remove(&left.path);
    }
    Ok(())
}

/// The folder for temporary files, unless its path is too long for a socket in it, or somebody else could rename what is
/// in it.
fn base(tmpdir: Option<PathBuf>) -> PathBuf {
    tmpdir
        .filter(|path| path.is_absolute())
        // A container's runtime takes paths apart at these.
        .filter(|path| !path.to_string_lossy().contains([':', ',']))
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
    fn what_a_killed_job_left_goes_with_the_next_and_what_is_in_use_stays() {
        let base = tempfile::tempdir().unwrap();
        let folder = |name: &str, locked: bool| {
            let path = base.path().join(name);
            fs_err::create_dir(&path).unwrap();
            if locked {
                fs_err::write(path.join(LOCK), "").unwrap();
            }
            path
        };
        let (left, used) = (folder("bf-00000001", true), folder("bf-00000002", true));
        let (new, other) = (folder("bf-00000003", false), folder("bf-notes", true));
        let held = hold(&used).unwrap();
        sweep(base.path());
        assert!(!left.exists() && used.exists() && new.exists() && other.exists());
        drop(held);
        sweep(base.path());
        assert!(!used.exists());
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
