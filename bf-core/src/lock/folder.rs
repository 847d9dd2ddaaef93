//! The folder of claims: which there are, what is in them, and getting a name that nobody else has.

use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;
use nix::errno::Errno;

use super::fresh::{self, Moment};
use super::record::{Record, SIZE, random};
use super::times::Times;
use crate::bounded::{self, Links};
use crate::publish::private_folder;
use crate::site::Layout;

/// What the names of claims begin with; the number of the generation follows.
const NAME: &str = "site.";

/// `.locks` of a cache.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    /// Makes hard links. Not fs_err's, whose errors have no number; another one in tests, for filesystems that have none or lose answers.
    pub(super) link: Link,
}

/// What gives a file a second name, which must be free.
pub(super) type Link = fn(&Path, &Path) -> io::Result<()>;

/// A claim as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// When it was written, by the file server's clock.
    pub(super) modified: Moment,
    /// What is in it, if that can be understood.
    pub(super) record: Option<Record>,
}

impl Folder {
    /// The folder of this cache, which is made if it is missing.
    pub(super) fn of(layout: &Layout) -> io::Result<Self> {
        let path = layout.locks();
        private_folder(&path)?;
        Ok(Self { path, link: |from, to| std::fs::hard_link(from, to) })
    }

    /// The file of a generation.
    pub(super) fn file(&self, generation: u64) -> PathBuf {
        self.path.join(format!("{NAME}{generation}"))
    }

    /// The newest generation of all claims.
    pub(super) fn newest(&self) -> io::Result<Option<u64>> {
        fresh::refresh(&self.path); // a cached list is checked against the folder's time
        Ok(self.generations()?.into_iter().max())
    }

    fn generations(&self) -> io::Result<Vec<u64>> {
        let mut all = Vec::new();
        for entry in fs_err::read_dir(&self.path)? {
            let name = entry?.file_name();
            all.extend(name.to_str().and_then(|name| Layout::number(name.strip_prefix(NAME)?)));
        }
        Ok(all)
    }

    /// What a claim says now; `None` if it is not there.
    pub(super) fn read(&self, generation: u64) -> io::Result<Option<Claim>> {
        let path = self.file(generation);
        let read = || {
            let modified = fresh::modified(&path)?;
            let mut bytes = Vec::new();
            bounded::open(&path, Links::Refuse)?.take(SIZE as u64).read_to_end(&mut bytes)?;
            Ok(Claim { modified, record: Record::decode(&bytes) })
        };
        match read() {
            Ok(claim) => Ok(Some(claim)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a claim under its name, which must be free; whether it was.
    pub(super) fn claim(&self, record: &Record) -> io::Result<bool> {
        let (staged, name) = (self.path.join(format!(".{}.new", record.token)), self.file(record.generation));
        create(&staged, &record.encode()?)?;
        let result = self.name(&staged, &name, record);
        let removed = fs_err::remove_file(&staged);
        if result? {
            return Ok(true);
        }
        removed.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })?;
        Ok(false)
    }

    fn name(&self, staged: &Path, name: &Path, record: &Record) -> io::Result<bool> {
        let Err(error) = (self.link)(staged, name) else { return Ok(true) };
        // The answer may have got lost, not the link.
        let there = self.read(record.generation)?.and_then(|claim| claim.record);
        if there.is_some_and(|own| own.token == record.token) {
            return Ok(true);
        }
        let errno = error.raw_os_error().map(Errno::from_raw);
        match errno {
            Some(Errno::EEXIST | Errno::ENOENT) => Ok(false),
            // A filesystem without hard links. Who dies before the content is written leaves an owner that nobody knows, whose lease
            // runs out.
            Some(Errno::EPERM | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EMLINK) => {
                match create(name, &record.encode()?) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                    result => result.map(|()| true),
                }
            }
            _ => Err(io::Error::new(error.kind(), format!("cannot make {}: {error}", name.display()))),
        }
    }

    /// Writes a claim of ours anew; whether it is there and ours.
    pub(super) fn rewrite(&self, record: &Record) -> io::Result<bool> {
        let there = self.read(record.generation)?.and_then(|claim| claim.record);
        if there.is_none_or(|there| there.token != record.token) {
            return Ok(false);
        }
        // Opened anew and closed each time: so others see it who ask the server when they open it.
        let path = self.file(record.generation);
        let flags = Links::Refuse.flags();
        let opened = fs_err::OpenOptions::new().write(true).custom_flags(flags).open(&path);
        let mut file = bounded::regular(&path, opened)?;
        file.write_all(&record.encode()?)?;
        file.sync_data()?;
        Ok(true)
    }

    /// Takes a claim back.
    pub(super) fn withdraw(&self, generation: u64) -> io::Result<()> {
        match fs_err::remove_file(self.file(generation)) {
            Err(error) if !is_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Now, by the clock of the file server: when a file was changed that we write there.
    pub(super) fn now(&self) -> io::Result<Moment> {
        let path = self.path.join(format!(".{}.now", random()?)); // a name of which no host has cached anything
        let now = create(&path, b"\n").and_then(|()| fresh::modified(&path));
        let _ = fs_err::remove_file(&path);
        now
    }

    /// Removes the claims of older generations, and what killed runs have left that is older than a lease.
    pub(super) fn clean(&self, newest: u64, times: Times) -> io::Result<()> {
        for generation in self.generations()?.into_iter().filter(|generation| *generation < newest) {
            self.withdraw(generation)?;
        }
        let now = self.now()?;
        for entry in fs_err::read_dir(&self.path)? {
            let path = entry?.path();
            let is_ours = path.extension().is_some_and(|extension| extension == "new" || extension == "now");
            // Somebody may be about to use a young one.
            if is_ours && fresh::modified(&path).is_ok_and(|then| now.since(then) > times.lease) {
                let _ = fs_err::remove_file(&path);
            }
        }
        Ok(())
    }
}

/// A new file with this content, flushed.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs_err::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A file that is not there, or that NFS says is not any more.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle)
}
