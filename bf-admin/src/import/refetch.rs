//! Where a file of a model that was damaged comes from again.

use std::cell::OnceCell;
use std::path::Path;

use bf_core::hub::Listing;
use bf_core::model::commit::pseudo_commit;
use bf_core::model::{ModelId, Revision};
use bf_core::report::{Exit, Failure};
use bf_core::settings::Environment;
use bf_core::site::{LockedFile, RevisionOf};

use super::Reach;

/// A source of single files of a revision.
pub(crate) trait Refetch {
    /// Writes the file into the new file `to`, which is in a private folder. Whoever asked checks it.
    fn refetch(&self, repo: &ModelId, commit: &str, file: &LockedFile, to: &Path) -> Result<(), Failure>;
}

/// Of a model that was imported nothing is known but its files.
struct ImportOnly;

impl Refetch for ImportOnly {
    fn refetch(&self, repo: &ModelId, _: &str, file: &LockedFile, _: &Path) -> Result<(), Failure> {
        let message =
            format!("{} of model {repo} cannot be fetched again: it comes from an import only", file.path);
        Err(Failure::new(Exit::NotFound, "import_only", message).with_hint(format!(
            "`bf-admin model import DIR --as {repo}` mends it, from the files it came from; `bf-admin setup --full`, where it has a `path`"
        )))
    }
}

/// The Hub, which still has every commit.
struct FromHub<'a> {
    environment: &'a Environment,
    /// What it says of the one commit that is asked for: asked once, however many files are.
    listing: OnceCell<Result<(Reach, Listing), Failure>>,
}

impl FromHub<'_> {
    fn listing(&self, repo: &ModelId, commit: &str) -> Result<&(Reach, Listing), Failure> {
        let ask = || {
            let reach = Reach::new(self.environment, 0)?;
            let listing = reach.hub().listing(repo, &Revision::parse(commit)?)?;
            Ok((reach, listing))
        };
        self.listing.get_or_init(ask).as_ref().map_err(Clone::clone)
    }
}

impl Refetch for FromHub<'_> {
    fn refetch(&self, repo: &ModelId, commit: &str, file: &LockedFile, to: &Path) -> Result<(), Failure> {
        let (reach, listing) = self.listing(repo, commit)?;
        let is_same = |own: &&bf_core::hub::RemoteFile| {
            listing.commit == commit && own.bytes == file.bytes && own.hash.hex() == file.blob_name()
        };
        let Some(own) = listing.file(&file.path).filter(is_same) else {
            let message = format!(
                "{} of model {repo} cannot be fetched again: {} has another file of that name at {commit}, or none",
                file.path,
                reach.hub().host()
            );
            return Err(Failure::new(Exit::NotFound, "model_file_not_found", message).with_hint(format!(
                "`bf-admin model import DIR --as {repo}` mends it, from a cache that has it whole"
            )));
        };
        let folder = to.with_extension("fetched");
        reach.hub().fetch(listing, std::slice::from_ref(own), &folder, &|_| false)?;
        Ok(fs_err::rename(folder.join(own.hash.hex()), to)?)
    }
}

/// Where files of this revision come from: an import has the commit that follows from its content, all others are the Hub's.
pub(crate) fn refetch_of<'a>(own: &RevisionOf<'_>, environment: &'a Environment) -> Box<dyn Refetch + 'a> {
    let content = pseudo_commit(own.files.iter().map(|file| (&file.path, &file.sha256)));
    if content.is_ok_and(|commit| commit == own.commit) {
        Box::new(ImportOnly)
    } else {
        Box::new(FromHub { environment, listing: OnceCell::new() })
    }
}
