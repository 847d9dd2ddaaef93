//! Files, and parts of files, that are read into memory.

use super::call::Wanted;
use super::error::Fault;
use super::hash::FileHasher;
use super::{Hub, HubError, Listing, RemoteFile};

impl Hub {
    /// The content of a small file, verified: a configuration, an index, a licence.
    ///
    /// # Errors
    /// [`HubError::TooLong`] if it has more than `limit` bytes; [`HubError::NoFile`] if the listing has no such file.
    pub fn text(&self, listing: &Listing, path: &str, limit: u64) -> Result<Vec<u8>, HubError> {
        let file = self.listed(listing, path)?;
        if file.bytes > limit {
            let (repo, path) = (listing.id.to_string(), path.to_owned());
            return Err(HubError::TooLong { repo, path, bytes: file.bytes, limit });
        }
        let url = self.options.endpoint.file(&listing.id, &listing.commit, path);
        let wanted = Wanted::File(listing, file);
        let mut was_wrong = false;
        self.trying(&wanted.what(), |_| {
            let mut answer = self.ask(&url, None, wanted)?;
            let Some(bytes) = answer.bytes(file.bytes)? else {
                return Err(self
                    .wrong(listing, file, format!("it has more than {} bytes", file.bytes))
                    .into());
            };
            if (bytes.len() as u64) < file.bytes {
                return Err(Fault::transient(format!(
                    "it ended after {} of {} bytes",
                    bytes.len(),
                    file.bytes
                )));
            }
            let mut hash = FileHasher::new(file);
            hash.update(&bytes);
            match hash.verdict(file) {
                Ok(_) => Ok(bytes),
                Err(reason) if std::mem::replace(&mut was_wrong, true) => {
                    Err(self.wrong(listing, file, reason).into())
                }
                Err(reason) => Err(Fault::transient(reason)),
            }
        })
    }

    /// The first `bytes` bytes of a file, or all of it if it is shorter. They cannot be verified: a hash is one of the whole file.
    pub fn head(&self, listing: &Listing, path: &str, bytes: u64) -> Result<Vec<u8>, HubError> {
        let file = self.listed(listing, path)?;
        let wanted_bytes = bytes.min(file.bytes);
        if wanted_bytes == 0 {
            return Ok(Vec::new());
        }
        let url = self.options.endpoint.file(&listing.id, &listing.commit, path);
        let wanted = Wanted::File(listing, file);
        self.trying(&wanted.what(), |_| {
            let mut answer = self.ask(&url, Some((0, wanted_bytes)), wanted)?;
            match answer.status().as_u16() {
                206 if !answer.continues(0, file.bytes) => {
                    return Err(Fault::transient("it sent another part than it was asked for"));
                }
                416 => return Err(Fault::transient("it does not have the part that it was asked for")),
                // Who does not know parts sends all of it; the rest is not waited for.
                _ => {}
            }
            let mut found = Vec::new();
            while (found.len() as u64) < wanted_bytes {
                let Some(chunk) = answer.chunk()? else {
                    return Err(Fault::transient(format!("it ended after {} bytes", found.len())));
                };
                found.extend_from_slice(chunk.as_ref());
            }
            found.truncate(usize::try_from(wanted_bytes).unwrap_or(usize::MAX));
            Ok(found)
        })
    }

    /// Asks for one byte of the largest file, if the model is gated: whether it is given to us is not seen from the listing, and
    /// small files may be given to all.
    ///
    /// # Errors
    /// [`HubError::Gated`] names the page where access is asked for.
    pub fn check_access(&self, listing: &Listing) -> Result<(), HubError> {
        let files = listing.files.iter().filter(|file| listing.gated && file.bytes > 0);
        match files.max_by_key(|file| file.bytes) {
            Some(file) => self.head(listing, &file.path, 1).map(drop),
            None => Ok(()),
        }
    }

    fn listed<'a>(&self, listing: &'a Listing, path: &str) -> Result<&'a RemoteFile, HubError> {
        listing.file(path).ok_or_else(|| HubError::NoFile {
            host: self.host.clone(),
            repo: listing.id.to_string(),
            path: path.to_owned(),
        })
    }

    pub(super) fn wrong(&self, listing: &Listing, file: &RemoteFile, reason: String) -> HubError {
        let (host, repo, path) = (self.host.clone(), listing.id.to_string(), file.path.clone());
        HubError::WrongContent { host, repo, path, reason }
    }
}
