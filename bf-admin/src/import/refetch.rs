//! Where a file of a model that was damaged comes from again.

use std::path::Path;

use bf_core::model::ModelId;
use bf_core::model::commit::pseudo_commit;
use bf_core::report::{Exit, Failure};
use bf_core::site::{LockedFile, RevisionOf};

/// A source of single files of a revision.
pub(crate) trait Refetch {
    /// Writes the file into the new file `to`. Whoever asked checks it.
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

/// Until there is a downloader, nothing can be fetched of the Hub.
struct NoHub;

impl Refetch for NoHub {
    fn refetch(&self, repo: &ModelId, commit: &str, file: &LockedFile, _: &Path) -> Result<(), Failure> {
        let message = format!(
            "{} of model {repo} (commit {commit}) cannot be fetched again: this version cannot download models",
            file.path
        );
        Err(Failure::new(Exit::NotFound, "hub_not_built", message).with_hint(format!(
            "`bf-admin model import DIR --as {repo}` mends it, from a cache that has it whole"
        )))
    }
}

/// Where files of this revision come from: an import has the commit that follows from its content, all others are the Hub's.
pub(crate) fn refetch_of(own: &RevisionOf<'_>) -> Box<dyn Refetch> {
    let content = pseudo_commit(own.files.iter().map(|file| (&file.path, &file.sha256)));
    if content.is_ok_and(|commit| commit == own.commit) { Box::new(ImportOnly) } else { Box::new(NoHub) }
}
