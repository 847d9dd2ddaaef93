//! An image of a registry as one SIF file anywhere, without a cache.
//!
//! Beside the file there is a private folder while it is made, `.NAME.partial/`: what was fetched when the network or the machine
//! failed stays in it, and the next run goes on from there.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bf_core::image::{Digest, Reference};
use bf_core::publish::own_folder;
use bf_core::report::{Exit, Failure, Report, human_bytes};
use bf_core::sif;
use fs_err::os::unix::fs::OpenOptionsExt;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, renameat};
use nix::unistd::geteuid;
use serde::Serialize;

use super::{Maker, Tell};
use crate::printer::Printer;
use crate::space;

/// What came of it, or would.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    dry_run: bool,
    /// Whether the file was written, or would be: not when one of the same image is there.
    changed: bool,
    #[serde(rename = "ref")]
    reference: Reference,
    /// What the reference stands for; not known where Apptainer makes it.
    digest: Option<Digest>,
    file: PathBuf,
    /// The file's length.
    bytes: Option<u64>,
    /// SHA-256 of its root filesystem.
    partition_sha256: Option<String>,
    /// What is fetched for it, or was, for people.
    #[serde(skip)]
    account: Option<String>,
}

impl Report for Written {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let file = self.file.display();
        let digest = match (&self.account, &self.digest) {
            (Some(account), _) => format!(": {account}"),
            (None, Some(digest)) => format!(" ({})", digest.short()),
            (None, None) => String::new(),
        };
        let size = self.bytes.map(|bytes| format!(", {}", human_bytes(bytes))).unwrap_or_default();
        match (self.changed, self.dry_run) {
            (false, _) => writeln!(out, "{file} is {}{digest} already{size}", self.reference),
            (true, true) => writeln!(out, "{file} would be made of {}{digest}", self.reference),
            (true, false) => writeln!(out, "{file}: {}{digest}{size}", self.reference),
        }
    }
}

/// Who does not get the lock does not wait for it.
const TRY: FlockArg = FlockArg::LockExclusiveNonblock;

/// Where it is made.
struct Work {
    folder: PathBuf,
    /// The folder itself, whatever has its name by now.
    open: OwnedFd,
    made: PathBuf,
    layers: PathBuf,
    _lock: Flock<File>,
}

impl Work {
    fn of(output: &Path) -> Result<Self, Failure> {
        let folder = folder_of(output);
        let open = own(&folder)?;
        let busy = || {
            let message = format!("{} is being made by somebody else", output.display());
            Failure::new(Exit::Busy, "busy", message)
                .with_hint("wait until that has ended, and run the command again")
        };
        let path = folder.join("lock");
        let mut options = fs_err::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let lock = match options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path) {
            // Who has ended just now has taken the folder away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(busy()),
            lock => lock?.into_parts().0,
        };
        let lock = Flock::lock(lock, TRY).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => busy(),
            other => io::Error::from(other).into(),
        })?;
        // The same between the two, and a third may have made it anew.
        if !is_at(&lock.metadata()?, &path) {
            return Err(busy());
        }
        let (made, layers) = (folder.join("image.sif"), folder.join("layers"));
        match fs_err::remove_file(&made) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        own(&layers)?;
        Ok(Self { folder, open, made, layers, _lock: lock })
    }

    /// Gives what was made its name.
    fn publish(&self, file: &File, output: &Path) -> io::Result<()> {
        if !is_at(&file.metadata()?, &self.made) {
            let message = format!("{} is not what was made there", self.made.display());
            return Err(io::Error::other(message));
        }
        file.set_permissions(Permissions::from_mode(0o755))?;
        renameat(&self.open, "image.sif", AT_FDCWD, output)?;
        Ok(())
    }

    /// Removes it with all that is in it. Under another name: once the lock is not there any more, the next run makes its own.
    fn remove(&self) -> io::Result<()> {
        let mut gone = self.folder.clone().into_os_string();
        gone.push(format!(".{}", std::process::id()));
        fs_err::rename(&self.folder, &gone)?;
        fs_err::remove_dir_all(gone)
    }
}

/// A folder for us alone, whose contents are ours.
fn own(path: &Path) -> Result<OwnedFd, Failure> {
    own_folder(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::new(Exit::Permission, "permission_denied", error.to_string())
        }
        _ => error.into(),
    })
}

/// Whether an open file is what has this name, and no link to it.
fn is_at(open: &Metadata, path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino()))
}

/// Whether we may take it for our own work, or put that in its place: root's counts as well.
fn is_own(there: &Metadata) -> bool {
    [geteuid().as_raw(), 0].contains(&there.uid())
}

/// Makes `output` of the image, unless it is there.
///
/// # Errors
/// There is a file of something else, and it may not be replaced. What the image itself is to blame for leaves nothing.
pub(crate) fn write(
    reference: &Reference,
    maker: &Maker,
    output: &Path,
    (force, dry_run): (bool, bool),
    (tell, printer): (&Tell<'_>, Printer),
) -> Result<Written, Failure> {
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if output.file_name().is_none() || output.is_dir() || !parent.is_dir() {
        let message = format!("{} is no place for a file", output.display());
        return Err(Failure::new(Exit::CannotCreate, "cannot_create", message)
            .with_hint("name a file in a folder that exists"));
    }
    let plan = maker.find(reference, tell)?;
    let known = plan.known().map(|(digest, compression)| (digest.clone(), compression));
    let mut written = Written {
        dry_run,
        changed: true,
        reference: reference.clone(),
        digest: known.as_ref().map(|(digest, _)| digest.clone()),
        file: output.to_owned(),
        bytes: None,
        partition_sha256: None,
        account: None,
    };
    if let Ok(there) = fs_err::symlink_metadata(output) {
        if !is_own(&there) {
            let message = format!("{} belongs to the user {}", output.display(), there.uid());
            return Err(Failure::new(Exit::Permission, "permission_denied", message)
                .with_hint("it is neither believed nor replaced: choose another name or folder"));
        }
        let own = same(output, known.as_ref().map(|(_, compression)| compression.as_str()), &written)?;
        match own {
            Some((bytes, partition)) if !force => {
                if !dry_run {
                    remove_remains(output)?;
                }
                let partition_sha256 = Some(partition);
                return Ok(Written { changed: false, bytes: Some(bytes), partition_sha256, ..written });
            }
            None if !force => {
                let message = format!("{} is there already, and is not that image", output.display());
                return Err(Failure::new(Exit::Invalid, "file_exists", message)
                    .with_hint("--force replaces it; programs that run from it keep what they have"));
            }
            _ => {}
        }
    }
    if dry_run {
        written.account = planned(reference, maker, (output, parent), printer)?;
        return Ok(written);
    }
    remove_renamed(output)?;
    let work = Work::of(output)?;
    let account = match plan.make(&work.made, &work.layers, tell) {
        Ok((_, account)) => account,
        Err(failure) => return Err(given_up(&work, failure)),
    };
    let file = fs_err::File::open(&work.made)?;
    file.sync_all()?;
    let length = file.metadata()?.len();
    let digests = sif::digests(file.file())?;
    work.publish(file.file(), output)?;
    fs_err::File::open(parent)?.sync_all()?;
    work.remove()?;
    written.bytes = Some(length);
    written.partition_sha256 = Some(digests.partition_sha256);
    written.account = account.map(|account| account.done());
    Ok(written)
}

/// What would be fetched, and what room there is for it; refuses what does not fit, as the run itself would.
fn planned(
    reference: &Reference,
    maker: &Maker,
    (output, parent): (&Path, &Path),
    printer: Printer,
) -> Result<Option<String>, Failure> {
    let Some(account) = maker.outline(reference, &[folder_of(output).join("layers")], printer)? else {
        return Ok(None);
    };
    space::check(parent, account.outline.needs(), &format!("image {}", reference.clone().unpinned()))?;
    let free = space::free(parent).map(|bytes| format!(", {} free", human_bytes(bytes))).unwrap_or_default();
    Ok(Some(format!("{}{free}", account.planned())))
}

/// The private folder beside a file in which it is made.
fn folder_of(output: &Path) -> PathBuf {
    let name = output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    output.with_file_name(format!(".{name}.partial"))
}

/// Removes what a run left that was killed after its file had got its name.
fn remove_remains(output: &Path) -> Result<(), Failure> {
    if folder_of(output).is_dir() {
        match Work::of(output) {
            Ok(work) => work.remove()?,
            // Somebody else is at work there.
            Err(failure) if failure.exit == Exit::Busy => {}
            Err(failure) => return Err(failure),
        }
    }
    remove_renamed(output)
}

/// Removes folders that a run which was killed had begun to remove.
fn remove_renamed(output: &Path) -> Result<(), Failure> {
    let folder = folder_of(output);
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    for entry in fs_err::read_dir(parent)? {
        let entry = entry?;
        let own = entry.file_name();
        let number = own.as_bytes().strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"."));
        let is_renamed = number.is_some_and(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit));
        // Who is removing it has the lock; one that cannot be had any more is gone already.
        let lock =
            || Flock::lock(fs_err::File::open(entry.path().join("lock")).ok()?.into_parts().0, TRY).ok();
        if is_renamed && is_ours(&entry.path()) && (lock().is_some() || !entry.path().join("lock").exists()) {
            fs_err::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Whether it is a folder, and no link to one, that belongs to us.
fn is_ours(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|there| there.is_dir() && there.uid() == geteuid().as_raw())
}

/// The length of a file that was made of the same, in the same way, and the SHA-256 of its root filesystem.
fn same(
    output: &Path,
    compression: Option<&str>,
    wanted: &Written,
) -> Result<Option<(u64, String)>, Failure> {
    let mut options = fs_err::OpenOptions::new();
    // A pipe would wait for somebody.
    let file = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(output)?;
    let there = file.metadata()?;
    if !there.is_file() || !is_own(&there) {
        return Ok(None);
    }
    let Ok(own) = sif::provenance_of(file.file()) else { return Ok(None) };
    let is_same = own.reference == wanted.reference.clone().unpinned()
        && own.source == wanted.digest
        && Some(own.compression.as_str()) == compression
        && sif::verify(file.file()).is_ok_and(|damage| damage.is_empty());
    Ok(is_same.then_some((there.len(), own.partition_sha256)))
}

/// Leaves what the next run can use, or nothing where it could only fail again.
fn given_up(work: &Work, failure: Failure) -> Failure {
    let removed = if failure.exit == Exit::Invalid {
        work.remove()
    } else {
        match fs_err::remove_file(&work.made) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    };
    match removed {
        Ok(()) => failure,
        Err(error) => {
            let hint = format!("{}; remove {} by hand", error, work.folder.display());
            failure.with_hint(hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_being_removed_is_not_used_by_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("o.sif");
        let first = Work::of(&output).unwrap();
        assert_eq!(Work::of(&output).err().unwrap().exit, Exit::Busy);
        // As when it stops right after the rename: its lock is held, and not under the name of the next.
        let gone = dir.path().join("gone");
        fs_err::rename(&first.folder, &gone).unwrap();
        let second = Work::of(&output).unwrap();
        assert!(gone.join("lock").exists());
        second.remove().unwrap();
        assert!(!second.folder.exists());
    }

    #[test]
    fn what_is_not_the_file_that_was_made_gets_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let (output, other) = (dir.path().join("o.sif"), dir.path().join("other"));
        let work = Work::of(&output).unwrap();
        fs_err::write(&other, "other").unwrap();
        let file = fs_err::File::create(&work.made).unwrap();
        fs_err::remove_file(&work.made).unwrap();
        std::os::unix::fs::symlink(&other, &work.made).unwrap();
        work.publish(file.file(), &output).unwrap_err();
        assert!(!output.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_is_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("o.sif");
        let begun = |name: &str| {
            let work = Work::of(&output).unwrap();
            let to = dir.path().join(name);
            fs_err::rename(&work.folder, &to).unwrap();
            (work, to)
        };
        let (killed, left) = begun(".o.sif.partial.17");
        drop(killed);
        // Killed while it removed: the lock had gone first.
        let (killed, bare) = begun(".o.sif.partial.18");
        drop(killed);
        fs_err::remove_file(bare.join("lock")).unwrap();
        let (_alive, used) = begun(".o.sif.partial.19");
        let others = [".o.sif.partial.x1", ".p.sif.partial.17"].map(|name| dir.path().join(name));
        for path in &others {
            fs_err::create_dir(path).unwrap();
        }
        drop(Work::of(&output).unwrap());
        remove_remains(&output).unwrap();
        assert_eq!([&left, &bare, &folder_of(&output)].map(|path| path.exists()), [false; 3]);
        assert_eq!([&used, &others[0], &others[1]].map(|path| path.exists()), [true; 3]);
        let work = Work::of(&output).unwrap();
        remove_remains(&output).unwrap();
        assert!(work.folder.exists(), "somebody is at work there");
    }

    #[test]
    fn a_link_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (output, other) = (dir.path().join("o.sif"), dir.path().join("other"));
        fs_err::write(&other, "other").unwrap();
        let work = Work::of(&output).unwrap();
        fs_err::remove_file(work.folder.join("lock")).unwrap();
        std::os::unix::fs::symlink(&other, work.folder.join("lock")).unwrap();
        assert!(Work::of(&output).is_err());
    }
}
