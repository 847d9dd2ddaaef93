//! The files that an image on disk consists of, in a folder or in an archive.

use std::io::Read;
use std::path::PathBuf;

use super::OciError;
use super::tar::Tar;

/// A folder, or an archive as if it were one.
#[derive(Debug)]
pub(super) struct Files {
    /// How messages call it.
    pub(super) place: String,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Folder(PathBuf),
    Archive(Tar),
}

/// A file that is open, and its bytes.
pub(super) struct Opened {
    pub(super) reader: Box<dyn Read + Send>,
    pub(super) size: u64,
}

impl Files {
    pub(super) fn has(&self, member: &str) -> bool {
        match &self.kind {
            Kind::Folder(folder) => folder.join(member).is_file(),
            Kind::Archive(tar) => tar.find(member).is_some(),
        }
    }

    /// Opens a file. `member` must not come from outside, unless this is an archive.
    pub(super) fn open(&self, member: &str) -> Result<Opened, OciError> {
        let missing = || OciError::Missing { place: self.place.clone(), member: member.to_owned() };
        match &self.kind {
            Kind::Folder(folder) => {
                let path = folder.join(member);
                // Asked for before it is opened: a pipe would wait for its other end.
                if !path.is_file() {
                    return Err(missing());
                }
                let file = fs_err::File::open(path)?;
                let size = file.metadata()?.len();
                Ok(Opened { reader: Box::new(file), size })
            }
            Kind::Archive(tar) => {
                let place = tar.find(member).ok_or_else(missing)?;
                Ok(Opened { reader: Box::new(tar.reader(place)), size: place.size })
            }
        }
    }

    /// Reads a document that may have `limit` bytes.
    pub(super) fn read(&self, member: &str, what: &'static str, limit: u64) -> Result<Vec<u8>, OciError> {
        let Opened { reader, size } = self.open(member)?;
        let mut bytes = Vec::new();
        if size <= limit {
            reader.take(limit + 1).read_to_end(&mut bytes)?;
        }
        if size > limit || bytes.len() as u64 > limit {
            return Err(OciError::TooLarge { name: self.place.clone(), what, limit });
        }
        Ok(bytes)
    }
}
