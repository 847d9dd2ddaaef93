//! An image of a registry as one SIF file anywhere, without a cache.
//!
//! Beside the file there is a private folder while it is made, `.NAME.partial/`: what was fetched when the network or the machine
//! failed stays in it, and the next run goes on from there.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bf_core::image::{Digest, Reference};
use bf_core::publish::{private_folder, set_mode};
use bf_core::report::{Exit, Failure, Report, human_bytes};
use bf_core::sif;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;

use super::{Maker, Tell};

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
}

impl Report for Written {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let file = self.file.display();
        let digest = self.digest.as_ref().map(|digest| format!(" ({})", digest.short())).unwrap_or_default();
        let size = self.bytes.map(|bytes| format!(", {}", human_bytes(bytes))).unwrap_or_default();
        match (self.changed, self.dry_run) {
            (false, _) => writeln!(out, "{file} is {}{digest} already{size}", self.reference),
            (true, true) => writeln!(out, "{file} would be made of {}{digest}", self.reference),
            (true, false) => writeln!(out, "{file}: {}{digest}{size}", self.reference),
        }
    }
}

/// Where it is made.
struct Work {
    folder: PathBuf,
    made: PathBuf,
    layers: PathBuf,
    _lock: Flock<File>,
}

impl Work {
    fn of(output: &Path) -> Result<Self, Failure> {
        let name = output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = output.with_file_name(format!(".{name}.partial"));
        private_folder(&folder)?;
        let busy = || {
            let message = format!("{} is being made by somebody else", output.display());
            Failure::new(Exit::Busy, "busy", message)
                .with_hint("wait until that has ended, and run the command again")
        };
        let path = folder.join("lock");
        let lock = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => busy(),
            other => io::Error::from(other).into(),
        })?;
        // Who has ended meanwhile has removed it, and a third may have made it anew.
        if !path.exists() {
            return Err(busy());
        }
        let (made, layers) = (folder.join("image.sif"), folder.join("layers"));
        match fs_err::remove_file(&made) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        private_folder(&layers)?;
        Ok(Self { folder, made, layers, _lock: lock })
    }
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
    tell: &Tell<'_>,
) -> Result<Written, Failure> {
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if output.file_name().is_none() || output.is_dir() || !parent.is_dir() {
        let message = format!("{} is no place for a file", output.display());
        return Err(Failure::new(Exit::CannotCreate, "cannot_create", message)
            .with_hint("name a file in a folder that exists"));
    }
    let plan = maker.find(reference)?;
    let known = plan.known().map(|(digest, compression)| (digest.clone(), compression));
    let mut written = Written {
        dry_run,
        changed: true,
        reference: reference.clone(),
        digest: known.as_ref().map(|(digest, _)| digest.clone()),
        file: output.to_owned(),
        bytes: None,
        partition_sha256: None,
    };
    if fs_err::symlink_metadata(output).is_ok() {
        let own = same(output, known.as_ref().map(|(_, compression)| compression.as_str()), &written)?;
        match own {
            Some(bytes) => return Ok(Written { changed: false, bytes: Some(bytes), ..written }),
            None if !force => {
                let message = format!("{} is there already, and is not that image", output.display());
                return Err(Failure::new(Exit::Invalid, "file_exists", message)
                    .with_hint("--force replaces it; programs that run from it keep what they have"));
            }
            None => {}
        }
    }
    if dry_run {
        return Ok(written);
    }
    let work = Work::of(output)?;
    if let Err(failure) = plan.make(&work.made, &work.layers, tell) {
        return Err(given_up(&work, failure));
    }
    let file = fs_err::File::open(&work.made)?;
    file.sync_all()?;
    let length = file.metadata()?.len();
    let digests = sif::digests(file.file())?;
    set_mode(&work.made, 0o755)?;
    fs_err::rename(&work.made, output)?;
    fs_err::File::open(parent)?.sync_all()?;
    fs_err::remove_dir_all(&work.folder)?;
    written.bytes = Some(length);
    written.partition_sha256 = Some(digests.partition_sha256);
    Ok(written)
}

/// The length of a file that was made of the same, in the same way.
fn same(output: &Path, compression: Option<&str>, wanted: &Written) -> Result<Option<u64>, Failure> {
    let file = fs_err::File::open(output)?;
    let Ok(own) = sif::provenance_of(file.file()) else { return Ok(None) };
    let is_same = own.reference == wanted.reference.clone().unpinned()
        && own.source == wanted.digest
        && Some(own.compression.as_str()) == compression
        && sif::verify(file.file()).is_ok_and(|damage| damage.is_empty());
    Ok(is_same.then_some(file.metadata()?.len()))
}

/// Leaves what the next run can use, or nothing where it could only fail again.
fn given_up(work: &Work, failure: Failure) -> Failure {
    let removed = if failure.exit == Exit::Invalid {
        fs_err::remove_dir_all(&work.folder)
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
