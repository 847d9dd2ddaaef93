//! A model's folder in the layout of `huggingface_hub`: which snapshot is taken, its commit, and the refs that lead to it.

use std::io;
use std::path::{Path, PathBuf};

use bf_core::model::cache::{self, CachedRepo};
use bf_core::model::store::{NewFile, is_blob_name};
use bf_core::model::{Location, ModelId, Revision};
use bf_core::report::{Exit, Failure};

/// The commit of what is imported, which a cache of the Hub's clients knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    /// The commit: the name of the snapshot.
    pub(crate) commit: String,
    /// The branches and tags that lead to it.
    pub(crate) refs: Vec<String>,
    /// The model's folder.
    pub(crate) folder: PathBuf,
}

/// The folder that is read for `named`, and the model's folder where it is one of a cache: a model's folder stands for the snapshot of
/// `revision`, or of its `main`, or for the only one that there is.
pub(super) fn snapshot(
    named: &Path,
    id: &ModelId,
    revision: Option<&Revision>,
) -> Result<(PathBuf, Option<PathBuf>), Failure> {
    if !named.join("snapshots").is_dir() || !named.join("blobs").is_dir() {
        return Ok((named.to_owned(), model_folder(named)?));
    }
    let repo = read(named, id)?.ok_or_else(|| none(named))?;
    let found = match (revision, &repo.revisions[..]) {
        (Some(revision), _) if !is_main(revision) || repo.refs.contains_key("main") => {
            repo.revision(revision)?
        }
        (_, all) => {
            let main = repo.refs.get("main");
            let of_main = all.iter().find(|one| Some(&one.commit) == main);
            match (of_main, all) {
                (Some(one), _) => one,
                (None, [only]) if main.is_none() => only,
                (None, _) => return Err(none(named)),
            }
        }
    };
    Ok((found.path.clone(), Some(fs_err::canonicalize(named)?)))
}

fn is_main(revision: &Revision) -> bool {
    revision.as_str() == "main"
}

fn none(named: &Path) -> Failure {
    let message = format!(
        "{} cannot be imported: it has several revisions and none of them is `main`",
        named.display()
    );
    Failure::new(Exit::Invalid, "source_refused", message)
        .with_hint("name one with `--revision`, or its folder below `snapshots`")
}

/// The model's folder that a snapshot is in.
fn model_folder(named: &Path) -> io::Result<Option<PathBuf>> {
    let real = fs_err::canonicalize(named)?;
    let snapshots = real.parent().filter(|parent| parent.ends_with("snapshots"));
    let folder = snapshots.and_then(Path::parent).filter(|folder| folder.join("blobs").is_dir());
    Ok(folder.map(Path::to_owned))
}

/// The model that a folder is of, by its name in a cache of the Hub's clients.
pub(crate) fn called(named: &Path) -> Option<ModelId> {
    let real = fs_err::canonicalize(named).ok()?;
    let folder = model_folder(&real).ok().flatten().unwrap_or(real);
    ModelId::from_folder_name(folder.file_name()?.to_str()?)
}

/// What a cache says of a model, whatever its folder is called.
fn read(folder: &Path, id: &ModelId) -> Result<Option<CachedRepo>, Failure> {
    Ok(cache::repo_at(folder, id, Location::Home)?)
}

/// The history of a snapshot: nothing where it has none, since it was made by hand, or some of its files are no blobs with their hashes for names.
pub(super) fn of(
    snapshot: &Path,
    folder: Option<&Path>,
    id: &ModelId,
    files: &[NewFile],
) -> Result<Option<History>, Failure> {
    let Some(folder) = folder else { return Ok(None) };
    let real = fs_err::canonicalize(snapshot)?;
    let commit = real.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if commit.len() != 40 || !is_blob_name(&commit) || files.iter().any(|file| file.blob.is_none()) {
        return Ok(None);
    }
    let refs = read(folder, id)?.map(|repo| repo.refs).unwrap_or_default();
    let refs = refs.into_iter().filter(|(_, own)| *own == commit).map(|(name, _)| name).collect();
    Ok(Some(History { commit, refs, folder: folder.to_owned() }))
}

/// The name of the blob that a file of a snapshot leads to, where that is a hash.
pub(super) fn blob(folder: Option<&Path>, file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str().filter(|name| is_blob_name(name))?;
    (file.parent()? == folder?.join("blobs")).then(|| name.to_owned())
}
