//! All that is known of one revision on disk: an element of `model ls`, and what an engine needs to load it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group};
use serde::Serialize;

use super::cache::{CachedRepo, CachedRevision, Location};
use super::config::Config;
use super::format::{self, Alternative, WeightFormat, WeightSet};
use super::memory::{self, KvCache, Memory, Unknown};
use super::snapshot::Snapshot;
use super::{HeaderError, ModelError, ModelId, card, config, gguf, license, safetensors};

/// A model that is ready to be loaded. Serialises as an element of `model ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    /// The id.
    pub repo: ModelId,
    /// The commit: the snapshot folder's name.
    pub revision: String,
    /// The snapshot's folder.
    #[serde(serialize_with = "crate::report::lossy::path")]
    pub path: PathBuf,
    /// The size of the weights that an engine will load, in bytes; nothing when it is not known.
    pub size_bytes: Option<u64>,
    /// How they are stored.
    pub format: WeightFormat,
    /// How many parameters they have.
    pub parameters: Option<u64>,
    /// The type of most parameters, or the quantisation: `BF16`, `Q4_K_M`.
    pub dtype: Option<String>,
    /// What the model does, in the Hub's words: `text-generation`.
    pub task: Option<String>,
    /// The licence, in the Hub's words: `apache-2.0`.
    pub license: Option<String>,
    /// Whose folder it is in.
    #[serde(rename = "where")]
    pub location: Location,
    /// The only group that may read it, when it is not open to all.
    pub group: Option<String>,
    /// The weight files, absolute where the root is, in the order of their names.
    #[serde(skip)]
    pub weights: Vec<PathBuf>,
    /// Other sets of weights of the same format in the same snapshot.
    #[serde(skip)]
    pub alternatives: Vec<Alternative>,
    /// The family: `llama`, `whisper`.
    #[serde(skip)]
    pub architecture: Option<String>,
    /// The longest context, in tokens.
    pub context_length: Option<u64>,
    /// What it needs of a GPU.
    pub memory: Memory,
}

/// What the files of a snapshot say, wherever they lie: for a cache as for a folder that is to be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The weights, all there and whole as far as their headers tell.
    pub weights: WeightSet,
    /// How many parameters they have.
    pub parameters: Option<u64>,
    /// As [`ModelInfo::dtype`].
    pub dtype: Option<String>,
    /// As [`ModelInfo::task`].
    pub task: Option<String>,
    /// As [`ModelInfo::license`].
    pub license: Option<String>,
    /// As [`ModelInfo::architecture`].
    pub architecture: Option<String>,
    /// As [`ModelInfo::context_length`], in tokens.
    pub context_length: Option<u64>,
    /// How `config.json` says that the weights are quantised: `awq`, `fp8`.
    pub quantisation: Option<String>,
    /// As [`ModelInfo::memory`].
    pub memory: Memory,
}

/// Reads one revision: its weights in the format `asked` for, else in the preferred one.
///
/// # Errors
/// Every [`ModelError`] that makes it unusable: incomplete, damaged, restricted, without weights, with foreign links.
pub fn inspect(
    repo: &CachedRepo,
    revision: &CachedRevision,
    asked: Option<WeightFormat>,
) -> Result<ModelInfo, ModelError> {
    let snapshot = repo.snapshot(revision)?;
    let facts = facts(&repo.id, &revision.path, &snapshot, asked)?;
    Ok(ModelInfo {
        repo: repo.id.clone(),
        revision: revision.commit.clone(),
        path: revision.path.clone(),
        size_bytes: facts.weights.bytes(),
        format: facts.weights.format,
        parameters: facts.parameters,
        dtype: facts.dtype,
        task: facts.task,
        license: facts.license,
        location: repo.location,
        group: restricted_to(&repo.folder),
        weights: facts.weights.files.into_iter().map(|file| file.file).collect(),
        alternatives: facts.weights.alternatives,
        architecture: facts.architecture,
        context_length: facts.context_length,
        memory: facts.memory,
    })
}

/// Reads what the files of `snapshot`, which lies in `folder`, say of the model `id`.
///
/// # Errors
/// As [`inspect`].
pub fn facts(
    id: &ModelId,
    folder: &Path,
    snapshot: &Snapshot,
    asked: Option<WeightFormat>,
) -> Result<Facts, ModelError> {
    let weights = format::choose(snapshot, asked)
        .map_err(|(file, error)| ModelError::of_header(id, &file, error))?
        .ok_or_else(|| ModelError::NoWeights {
            id: id.clone(),
            path: folder.to_owned(),
            asked,
            there: format::formats(snapshot),
        })?;
    if !weights.missing.is_empty() {
        let revision = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(ModelError::Incomplete {
            id: id.clone(),
            revision,
            missing: weights.missing,
            ready: vec![],
        });
    }
    let config = snapshot.file("config.json").and_then(|file| config::read(&file.file)).unwrap_or_default();
    let card = snapshot.file("README.md").map(|file| card::read(&file.file)).unwrap_or_default();
    let header = header(id, &weights)?;
    let kv_cache = match (weights.format, header.kv_cache) {
        (WeightFormat::Safetensors | WeightFormat::Pickle, _) => config.kv_cache.clone(),
        (WeightFormat::Gguf, Some(kv_cache)) => kv_cache,
        _ => Err(Unknown::new(format!("the format {} does not say it", weights.format))),
    };
    let license = card.license.or(header.license).or_else(|| license::of(snapshot));
    let memory = Memory { weights_bytes: weights.bytes(), kv_cache };
    let task = card.task.or_else(|| task(&weights, header.architecture.as_deref(), &config));
    Ok(Facts {
        parameters: header.parameters,
        dtype: header.dtype.or_else(|| weights.quantisation.map(str::to_owned)).or(config.dtype),
        task,
        license,
        quantisation: config.quantisation,
        memory,
        architecture: header.architecture.or(config.model_type),
        context_length: header.context_length.or(config.context_length),
        weights,
    })
}

/// What the headers of all weight files say together.
#[derive(Default)]
struct Header {
    parameters: Option<u64>,
    dtype: Option<String>,
    license: Option<String>,
    architecture: Option<String>,
    context_length: Option<u64>,
    kv_cache: Option<Result<KvCache, Unknown>>,
}

fn header(id: &ModelId, weights: &WeightSet) -> Result<Header, ModelError> {
    let mut header = Header::default();
    let mut tensors = safetensors::Summary::default();
    for file in &weights.files {
        let damaged = |error| ModelError::of_header(id, &file.file, error);
        match weights.format {
            WeightFormat::Safetensors => tensors.add(&safetensors::read(&file.file).map_err(damaged)?),
            WeightFormat::Gguf => header.add(gguf::read(&file.file).map_err(damaged)?),
            WeightFormat::Ggml | WeightFormat::Pickle => not_empty(&file.file).map_err(damaged)?,
        }
    }
    if weights.format == WeightFormat::Safetensors {
        header.parameters = Some(tensors.parameters());
        header.dtype = tensors.dominant_dtype().map(str::to_owned);
    }
    Ok(header)
}

impl Header {
    /// The first part of a split file has the facts, each part some of the tensors.
    fn add(&mut self, summary: gguf::Summary) {
        self.parameters = Some(self.parameters.unwrap_or_default().saturating_add(summary.parameters));
        self.kv_cache.get_or_insert_with(|| memory::of_gguf(summary.architecture.as_deref(), &summary.shape));
        self.dtype = self.dtype.take().or(summary.quantisation);
        self.license = self.license.take().or(summary.license);
        self.architecture = self.architecture.take().or(summary.architecture);
        self.context_length = self.context_length.or(summary.context_length);
    }
}

/// Checks that this user may read what lies beside the weights: an engine needs the tokenizer as well.
///
/// # Errors
/// [`ModelError::Restricted`] names the first file that is closed.
pub(super) fn readable(id: &ModelId, snapshot: &Snapshot) -> Result<(), ModelError> {
    for file in snapshot.files.iter().filter(|file| !file.path.contains('/')) {
        crate::bounded::open(&file.file, crate::bounded::Links::Follow)
            .map_err(|error| ModelError::of_io(id, &file.file, error))?;
    }
    Ok(())
}

/// Formats whose headers are not read here: at least that there is something, and that it may be read.
fn not_empty(path: &Path) -> Result<(), HeaderError> {
    match crate::bounded::open(path, crate::bounded::Links::Follow)?.metadata()?.len() {
        0 => Err(HeaderError::Truncated { bytes: 0, needed: 1 }),
        _ => Ok(()),
    }
}

fn task(weights: &WeightSet, architecture: Option<&str>, config: &Config) -> Option<String> {
    const SPEECH: &str = "automatic-speech-recognition";
    let task = match (weights.format, architecture) {
        (WeightFormat::Ggml, _) | (WeightFormat::Gguf, Some("whisper")) => Some(SPEECH),
        // Encoders and image models are stored as GGUF too.
        (WeightFormat::Gguf, Some(name)) if name.contains("bert") || name == "clip" => None,
        (WeightFormat::Gguf, _) => Some("text-generation"),
        _ => config.task(),
    };
    task.map(str::to_owned)
}

/// The group of a folder that not everybody may read, by name, else by number.
fn restricted_to(folder: &Path) -> Option<String> {
    let metadata = fs_err::metadata(folder).ok()?;
    (metadata.permissions().mode() & 0o005 != 0o005).then(|| group_name(&metadata))
}

/// The group whose members may read `path`, or the nearest folder above it that says so.
pub(super) fn closed_group(path: &Path) -> Option<String> {
    let metadata = path.ancestors().find_map(|path| fs_err::metadata(path).ok())?;
    (metadata.permissions().mode() & 0o040 != 0).then(|| group_name(&metadata))
}

fn group_name(metadata: &std::fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;

    let gid = metadata.gid();
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}
