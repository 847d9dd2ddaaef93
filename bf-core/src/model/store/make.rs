//! Makes the blobs and the snapshot of a revision in a staging folder: each file is hashed, and is what its name says.

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::symlink;
use nix::unistd::geteuid;

use super::{PARTS, blob_link, clear, folder};
use crate::bounded::{self, Links};
use crate::digest::{self, Names};
use crate::model::ModelId;
use crate::model::commit::pseudo_commit;
use crate::report::{Exit, Failure};
use crate::site::{Layout, LockedFile, LockedRevision};

/// A file that is to be one of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Its path in the model, with `/`.
    pub path: String,
    /// Where it is; for [`Take::Fetched`] also its blob in the cache, where that is there and was found right.
    pub from: PathBuf,
    /// Its length, in bytes.
    pub bytes: u64,
    /// The name that its blob must have, and that its content is checked by: 64 hex digits of SHA-256 or 40 of git's. Nothing: it is named by
    /// its SHA-256.
    pub blob: Option<String>,
    /// Its SHA-256, where that was worked out when it was fetched; for [`Take::Fetched`] only.
    pub sha256: Option<String>,
}

impl NewFile {
    /// One that a folder of blobs has already, and that stays as it is; for [`Take::Fetched`].
    pub fn stored(file: &LockedFile, blobs: &Path) -> Self {
        Self {
            path: file.path.clone(),
            from: blobs.join(file.blob_name()),
            bytes: file.bytes,
            blob: Some(file.blob_name().to_owned()),
            sha256: Some(file.sha256.clone()),
        }
    }
}

/// How files get into the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Take {
    /// They are copied, and hashed meanwhile.
    #[default]
    Copy,
    /// They are hashed, and get a second name (a hard link) in the cache. Refused where that is not possible or not safe.
    Link,
    /// As a link, where that is possible and safe, else as a copy. Who asked for it removes them when they are published.
    Move,
    /// They are renamed: files of our own in a private folder of the same part, which were checked when they were fetched.
    Fetched,
}

/// A revision that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// Of which model.
    pub id: &'a ModelId,
    /// Its commit; nothing where it has no history: then it follows from the content.
    pub commit: Option<&'a str>,
    /// All its files.
    pub files: &'a [NewFile],
    /// How they get into the cache.
    pub take: Take,
}

/// Makes a revision in the folder `stage`, and gives what site.lock will say of it. `passed` is told how many bytes of a file were read. The
/// model's folder in `stage` is called as in the cache: [`super::put`] publishes it.
///
/// # Errors
/// A file that was changed meanwhile or is not what its name says, named; nothing is lost then.
pub fn make(
    layout: &Layout,
    new: &New<'_>,
    stage: &Path,
    passed: &dyn Fn(&str, u64),
) -> Result<LockedRevision, Failure> {
    let folder = folder(layout, new.id);
    let tree = stage.join(new.id.folder_name());
    for part in PARTS {
        fs_err::create_dir_all(tree.join(part))?;
    }
    clear(layout, &folder)?;
    let mut files = Vec::new();
    for file in new.files {
        passed(&file.path, 0);
        let bytes = |bytes| passed(&file.path, bytes);
        files.push(blob(file, new.take, &tree.join("blobs"), &folder.join("blobs"), &bytes)?);
    }
    let commit = commit_of(new.commit, &files)?;
    let snapshot = tree.join("snapshots").join(&commit);
    fs_err::create_dir_all(&snapshot)?;
    for file in &files {
        let link = snapshot.join(&file.path);
        fs_err::create_dir_all(link.parent().unwrap_or(&snapshot))?;
        symlink(blob_link(file), link)?;
    }
    Ok(LockedRevision { commit, files })
}

/// What [`make`] would give, without making anything: reads all of the files, and checks those that are called by their hashes.
pub fn hashed(commit: Option<&str>, files: &[NewFile]) -> Result<LockedRevision, Failure> {
    let read =
        |file: &NewFile| checked(file, &mut bounded::open(&file.from, Links::Follow)?, &mut io::sink());
    let files = files.iter().map(read).collect::<Result<Vec<_>, Failure>>()?;
    Ok(LockedRevision { commit: commit_of(commit, &files)?, files })
}

fn commit_of(commit: Option<&str>, files: &[LockedFile]) -> Result<String, Failure> {
    Ok(match commit {
        Some(commit) => commit.to_owned(),
        None => pseudo_commit(files.iter().map(|file| (&file.path, &file.sha256)))?,
    })
}

/// Tells how many bytes were read of what passes.
struct Counted<'a, R> {
    from: R,
    passed: &'a dyn Fn(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        (self.passed)(read as u64);
        Ok(read)
    }
}

/// Stages a file as a blob, unless the model has that content already.
fn blob(
    new: &NewFile,
    take: Take,
    staged: &Path,
    there: &Path,
    passed: &dyn Fn(u64),
) -> Result<LockedFile, Failure> {
    if let (Take::Fetched, Some(sha256)) = (take, &new.sha256) {
        let blob = new.blob.clone().filter(|blob| blob != sha256);
        let file = LockedFile { path: new.path.clone(), sha256: sha256.clone(), bytes: new.bytes, blob };
        // Of two files with one content the first has taken it with it; and what the cache has already stays where it is.
        let at = staged.join(file.blob_name());
        if new.from != there.join(file.blob_name()) && fs_err::symlink_metadata(&at).is_err() {
            fs_err::rename(&new.from, at)?;
        }
        passed(new.bytes);
        return Ok(file);
    }
    // Reading it once more is cheaper than writing what is there.
    if has_size(there, new.bytes) {
        let file = checked(new, &mut bounded::open(&new.from, Links::Follow)?, &mut io::sink())?;
        if is_whole(&there.join(file.blob_name()), &file)? {
            passed(file.bytes);
            return Ok(file);
        }
    }
    let copy = staged.join(".copy");
    let linked = match take {
        Take::Link => link(&new.from, &copy)?,
        Take::Move => link(&new.from, &copy).is_ok_and(|linked| linked),
        Take::Copy | Take::Fetched => false,
    };
    let file = if linked {
        let from = bounded::open(&copy, Links::Refuse)?;
        checked(new, &mut Counted { from, passed }, &mut io::sink())?
    } else {
        let from = bounded::open(&new.from, Links::Follow)?;
        let mut to = fs_err::File::create(&copy)?;
        checked(new, &mut Counted { from, passed }, &mut to)?
    };
    fs_err::rename(copy, staged.join(file.blob_name()))?;
    Ok(file)
}

/// Reads a file and gives what it is.
///
/// # Errors
/// It is longer or shorter than it was, or not what its name says.
fn checked(new: &NewFile, from: &mut impl Read, to: &mut impl Write) -> Result<LockedFile, Failure> {
    let (names, bytes) = match &new.blob {
        Some(name) if name.len() == 40 => digest::copy_named(from, to, new.bytes)?,
        _ => {
            let (sha256, bytes) = digest::copy(from, to)?;
            (Names { sha256, git: String::new() }, bytes)
        }
    };
    if bytes != new.bytes {
        let message = format!("{} was changed while it was read", new.from.display());
        return Err(Failure::new(Exit::Invalid, "source_changed", message)
            .with_hint("wait until nobody writes to it, then run the command again"));
    }
    let blob = match &new.blob {
        Some(name) if *name != names.sha256 && *name != names.git => {
            let message = format!(
                "{} is damaged: it is called {name}, and its content is {}",
                new.from.display(),
                if name.len() == 40 { &names.git } else { &names.sha256 }
            );
            return Err(Failure::new(Exit::Invalid, "source_damaged", message)
                .with_hint("fetch it again there, then run the command again; nothing was changed"));
        }
        Some(name) if *name == names.git => Some(names.git),
        _ => None,
    };
    Ok(LockedFile { path: new.path.clone(), sha256: names.sha256, bytes, blob })
}

/// Gives a file a second name in the staging folder; says whether it could, on this filesystem.
///
/// # Errors
/// Why it would not be safe: somebody else could go on changing what others read.
fn link(from: &Path, to: &Path) -> Result<bool, Failure> {
    linkable(from)?;
    match fs_err::hard_link(from, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    // What has the name by now counts.
    linkable(to).map(|()| true)
}

/// Whether a file can be one of the cache, under a second name: it is a regular one, is of whoever writes the cache, and nobody else can
/// write to it.
///
/// # Errors
/// [`Exit::Permission`] says which of that is not so.
pub fn linkable(file: &Path) -> Result<(), Failure> {
    let metadata = fs_err::symlink_metadata(file)?;
    let why = if !metadata.is_file() {
        "it is no regular file".to_owned()
    } else if metadata.uid() != geteuid().as_raw() {
        format!("it belongs to user {}, who could go on changing it", metadata.uid())
    } else if metadata.mode() & 0o022 != 0 {
        format!("others can write to it (mode {:04o})", metadata.mode() & 0o7777)
    } else {
        return Ok(());
    };
    let message = format!("{} cannot be linked into the cache: {why}", file.display());
    Err(Failure::new(Exit::Permission, "link_refused", message)
        .with_hint("leave out `--link`: a copy is nobody else's"))
}

/// Whether a blob of that length is there at all.
fn has_size(blobs: &Path, bytes: u64) -> bool {
    let Ok(entries) = fs_err::read_dir(blobs) else { return false };
    entries.flatten().any(|entry| entry.metadata().is_ok_and(|metadata| metadata.len() == bytes))
}

/// Whether a published blob is what its name says.
fn is_whole(blob: &Path, file: &LockedFile) -> io::Result<bool> {
    match fs_err::symlink_metadata(blob) {
        Ok(metadata) if metadata.is_file() && metadata.len() == file.bytes => {
            Ok(digest::of_file(blob)?.0 == file.sha256)
        }
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
