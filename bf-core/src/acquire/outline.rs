//! What is fetched of a model, found out before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::refused::refused;
use crate::bounded::{self, Links};
use crate::hub::{FileHash, Hub, Listing, RemoteFile};
use crate::model::choose::{Choice, Chosen, LeftOut, choose};
use crate::model::format::{Alternative, MAX_INDEX};
use crate::model::{ModelId, Revision, WeightFormat, store};
use crate::report::{Exit, Failure};
use crate::site::Layout;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The model, as somebody wrote it.
    pub id: &'a ModelId,
    /// A branch, a tag or a commit; nothing for `main`.
    pub revision: Option<&'a str>,
    /// The commit that it must be, whatever the revision leads to by now.
    pub exact: Option<&'a str>,
    /// Which of its files.
    pub choice: &'a Choice,
}

/// What this machine may have of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The blobs of the model in the store; the folder may be missing.
    pub blobs: PathBuf,
    /// Folders in which earlier tries may have left something.
    pub downloads: Vec<PathBuf>,
}

impl Places {
    /// Where a store keeps them.
    pub fn of(layout: &Layout, id: &ModelId) -> Self {
        let home = layout.models().join(Layout::DOWNLOADS);
        // What cannot be listed is not ours: then nothing is there for us.
        let claims = fs_err::read_dir(home).into_iter().flatten().flatten();
        let downloads = claims.map(|claim| claim.path().join(id.folder_name()));
        Self {
            blobs: store::folder(layout, id).join("blobs"),
            downloads: downloads.filter(|folder| folder.is_dir()).collect(),
        }
    }
}

/// What there is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// What the Hub says of it.
    pub listing: Listing,
    /// The revision that was asked for; nothing for `main`.
    pub revision: Option<String>,
    /// The chosen files, sorted by path.
    pub files: Vec<RemoteFile>,
    /// How the weights among them are stored.
    pub format: WeightFormat,
    /// The quantisation that the name of a GGUF file speaks of.
    pub quantisation: Option<&'static str>,
    /// Other sets of weights of that format that could be named instead.
    pub alternatives: Vec<Alternative>,
    /// What is not chosen.
    pub left_out: Vec<LeftOut>,
    /// Contents of the store, by length and name; [`super::fetch`] reads them.
    pub there: BTreeSet<FileHash>,
    /// Bytes that an earlier try has left of what is missing.
    pub begun: u64,
}

/// Asks for the listing, chooses files of it, and asks whether a gated model's files are given to us.
///
/// # Errors
/// What the Hub refuses ([`crate::hub::HubError`]); that it has another commit than the exact one; that nothing can be chosen. None
/// of it leaves anything behind.
pub fn outline(hub: &Hub, ask: &Ask<'_>, places: &Places) -> Result<Outline, Failure> {
    let revision = Revision::parse(ask.exact.or(ask.revision).unwrap_or("main"))?;
    let listing = hub.listing(ask.id, &revision)?;
    if revision.is_commit() && !revision.as_str().eq_ignore_ascii_case(&listing.commit) {
        let message = format!(
            "{} answers with the commit {} of {}, where {revision} was asked for",
            hub.host(),
            listing.commit,
            listing.id
        );
        return Err(Failure::new(Exit::Invalid, "hub_listing", message));
    }
    hub.check_access(&listing)?;
    let chosen = chosen(hub, &listing, ask.choice, &places.blobs)?;
    let files: Vec<RemoteFile> =
        chosen.files.iter().filter_map(|at| listing.files.get(*at).cloned()).collect();
    let there: BTreeSet<FileHash> =
        files.iter().filter(|file| file.seems_in(&places.blobs)).map(|file| file.hash.clone()).collect();
    let mut outline = Outline {
        revision: ask.revision.map(str::to_owned),
        files,
        format: chosen.weights.format,
        quantisation: chosen.weights.quantisation,
        alternatives: chosen.weights.alternatives,
        left_out: chosen.left_out,
        there,
        begun: 0,
        listing,
    };
    let begun = |file: &&RemoteFile| {
        places.downloads.iter().map(|folder| file.begun_in(folder)).max().unwrap_or_default()
    };
    outline.begun = outline.missing().iter().map(begun).sum();
    Ok(outline)
}

/// As [`outline`], for a store, which has the model under the name that the Hub calls it by.
///
/// # Errors
/// As [`outline`].
pub fn outline_for(hub: &Hub, ask: &Ask<'_>, layout: &Layout) -> Result<Outline, Failure> {
    let asked = outline(hub, ask, &Places::of(layout, ask.id))?;
    if asked.id() == ask.id {
        return Ok(asked);
    }
    let id = asked.id().clone();
    let mut outline = outline(hub, &Ask { id: &id, ..*ask }, &Places::of(layout, &id))?;
    outline.listing.renamed_from = Some(ask.id.clone());
    Ok(outline)
}

fn chosen(hub: &Hub, listing: &Listing, choice: &Choice, blobs: &Path) -> Result<Chosen, Failure> {
    let files: Vec<(&str, u64)> = listing.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    let mut read = |path: &str| -> Result<Option<Vec<u8>>, Failure> {
        // What the store has is not asked for.
        if let Some(file) = listing.file(path)
            && file.bytes <= MAX_INDEX
            && file.sha256_in(blobs)?.is_some()
        {
            return Ok(Some(bounded::read(&blobs.join(file.hash.hex()), MAX_INDEX, Links::Refuse)?));
        }
        Ok(Some(hub.text(listing, path, MAX_INDEX)?))
    };
    choose(&files, &mut read, choice).map_err(|error| refused(&listing.id, error))
}

impl Outline {
    /// The model, as the Hub calls it: the name to store it under.
    pub fn id(&self) -> &ModelId {
        &self.listing.id
    }

    /// Its commit: 40 hex digits.
    pub fn commit(&self) -> &str {
        &self.listing.commit
    }

    /// The name that the revision is kept under; nothing for `main`. Of a commit that is all of it, since the beginning of one is no name.
    pub fn asked_as(&self) -> Option<&str> {
        let name = self.revision.as_deref().filter(|name| *name != store::MAIN)?;
        let is_begin = Revision::parse(name).is_ok_and(|name| name.is_commit_prefix())
            && self.commit().starts_with(&name.to_ascii_lowercase());
        Some(if is_begin { self.commit() } else { name })
    }

    /// Whether the Hub gives it to some only.
    pub fn is_restricted(&self) -> bool {
        self.listing.gated || self.listing.private
    }

    /// Each content of the chosen files once, by the first file that has it.
    fn contents(&self) -> BTreeMap<&FileHash, &RemoteFile> {
        let mut contents = BTreeMap::new();
        for file in &self.files {
            contents.entry(&file.hash).or_insert(file);
        }
        contents
    }

    /// The contents that the store does not have.
    pub fn missing(&self) -> Vec<&RemoteFile> {
        self.contents().into_values().filter(|file| !self.there.contains(&file.hash)).collect()
    }

    /// Bytes of all that is chosen, each content once.
    pub fn bytes(&self) -> u64 {
        self.contents().values().map(|file| file.bytes).sum()
    }

    /// Bytes of what the store does not have.
    pub fn missing_bytes(&self) -> u64 {
        self.missing().iter().map(|file| file.bytes).sum()
    }

    /// Bytes that are to come over the network.
    pub fn to_fetch(&self) -> u64 {
        self.missing_bytes().saturating_sub(self.begun)
    }

    /// Files, links and folders that it will have at most.
    pub fn entries(&self) -> u64 {
        let folders: BTreeSet<&Path> =
            self.files.iter().flat_map(|file| Path::new(&file.path).ancestors().skip(1)).collect();
        // A blob and a link each; the folders of the model, its refs and its record.
        (self.missing().len() + self.files.len() + folders.len() + 8) as u64
    }

    /// The texts of its licence among the chosen files, and those that are left out.
    pub fn licences(&self) -> (Vec<&str>, Vec<&str>) {
        let chosen = self.files.iter().map(|file| file.path.as_str()).filter(|path| is_licence(path));
        let left = self.left_out.iter().map(|left| left.path.as_str()).filter(|path| is_licence(path));
        (chosen.collect(), left.collect())
    }
}

/// Whether a file at the top of a model has its terms, by its name.
fn is_licence(path: &str) -> bool {
    const BEGINS: [&str; 6] = ["license", "licence", "copying", "use_policy", "terms", "usage_policy"];
    let name = path.to_ascii_lowercase();
    !path.contains('/') && BEGINS.iter().any(|begin| name.starts_with(begin))
}
