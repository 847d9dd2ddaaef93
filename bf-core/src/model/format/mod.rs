//! Which files of a snapshot are the weights that an engine will load.
//!
//! Rules as vLLM and llama.cpp load them: safetensors before GGUF before pickle; only what the index names; of several
//! quantisations one. Whatever else lies in a snapshot does not count into a model's size.

mod index;
mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use self::parts::PartSet;
use super::HeaderError;
use super::gguf::label_in_name;
use super::snapshot::{Snapshot, SnapshotFile};

/// How weights are stored, in the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WeightFormat {
    /// `*.safetensors`.
    Safetensors,
    /// `*.gguf`, llama.cpp's.
    Gguf,
    /// `ggml-*.bin`, whisper.cpp's.
    Ggml,
    /// `*.bin`, `*.pt`, `*.pth`: Python's pickle, which runs code when it is loaded.
    Pickle,
}

impl WeightFormat {
    /// All formats, the preferred one first.
    pub const ALL: [Self; 4] = [Self::Safetensors, Self::Gguf, Self::Ggml, Self::Pickle];

    /// The format's name in files and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Gguf => "gguf",
            Self::Ggml => "ggml",
            Self::Pickle => "pickle",
        }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WeightFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let known = Self::ALL.into_iter().find(|format| format.name() == text);
        known.ok_or("a format is safetensors, gguf, ggml or pickle")
    }
}

impl Serialize for WeightFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The weights that an engine will load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightSet {
    /// How they are stored.
    pub format: WeightFormat,
    /// The files, in the order of their names: an engine that takes one file takes the first.
    pub files: Vec<SnapshotFile>,
    /// Files that belong to the set and are not there.
    pub missing: Vec<String>,
    /// The quantisation that the file name speaks of.
    pub quantisation: Option<&'static str>,
    /// Other sets of the same format that could be chosen instead.
    pub alternatives: Vec<Alternative>,
}

/// A set of weights that was not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Its first file, as a path below the snapshot's folder.
    pub file: String,
    /// The quantisation that the file name speaks of.
    pub quantisation: Option<&'static str>,
    /// Its size in bytes, where all its files are there.
    pub bytes: Option<u64>,
}

impl WeightSet {
    /// The size of all files in bytes; nothing when one is missing or its length unknown.
    pub fn bytes(&self) -> Option<u64> {
        total(&self.files).filter(|_| self.missing.is_empty() && !self.files.is_empty())
    }

    fn plain(format: WeightFormat, files: Vec<SnapshotFile>, missing: Vec<String>) -> Self {
        Self { format, files, missing, quantisation: None, alternatives: vec![] }
    }
}

fn total(files: &[SnapshotFile]) -> Option<u64> {
    files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.bytes?))
}

/// The weights in `snapshot`: of the format `asked` for, else of the preferred one there is. Nothing when there are none.
///
/// # Errors
/// The index of shards and what is wrong with it.
pub fn choose(
    snapshot: &Snapshot,
    asked: Option<WeightFormat>,
) -> Result<Option<WeightSet>, (PathBuf, HeaderError)> {
    for format in WeightFormat::ALL.into_iter().filter(|format| asked.is_none_or(|asked| asked == *format)) {
        let set = match format {
            WeightFormat::Safetensors => {
                let shards = |name: &str| name.ends_with(".safetensors");
                torch(snapshot, format, "model.safetensors", "consolidated", shards)?
            }
            WeightFormat::Gguf => one_of(format, candidates(snapshot, is_gguf)),
            WeightFormat::Ggml => one_of(format, candidates(snapshot, is_ggml)),
            WeightFormat::Pickle => torch(snapshot, format, "pytorch_model.bin", "consolidated", is_pickle)?,
        };
        if set.is_some() {
            return Ok(set);
        }
    }
    Ok(None)
}

/// The formats that there are any weights of.
pub fn formats(snapshot: &Snapshot) -> Vec<WeightFormat> {
    let has = |format: &WeightFormat| !matches!(choose(snapshot, Some(*format)), Ok(None));
    WeightFormat::ALL.into_iter().filter(has).collect()
}

/// Shards that an index names, else the one file, else every file that `fits`.
fn torch(
    snapshot: &Snapshot,
    format: WeightFormat,
    single: &str,
    duplicate: &str,
    fits: impl Fn(&str) -> bool,
) -> Result<Option<WeightSet>, (PathBuf, HeaderError)> {
    let one_file = snapshot.file(single);
    if let Some(index) = snapshot.file(&format!("{single}.index.json")) {
        let shards = index::shards(&index.file).map_err(|error| (index.file.clone(), error))?;
        let set = of_index(snapshot, format, shards);
        // An index left behind by a conversion to one file says nothing about that file.
        if !set.files.is_empty() || one_file.is_none() {
            return Ok(Some(set));
        }
    }
    if let Some(file) = one_file {
        return Ok(Some(WeightSet::plain(format, vec![file.clone()], vec![])));
    }
    let mut files: Vec<_> =
        snapshot.files.iter().filter(|file| !file.path.contains('/') && fits(&file.path)).cloned().collect();
    // Mistral publishes the same weights twice, under its own names and under everybody's.
    if files.iter().any(|file| !file.path.starts_with(duplicate)) {
        files.retain(|file| !file.path.starts_with(duplicate));
    }
    if format == WeightFormat::Pickle && files.iter().any(|file| has_extension(&file.path, "bin")) {
        files.retain(|file| has_extension(&file.path, "bin"));
    }
    let missing = parts::group(&files).into_iter().flat_map(|set| set.missing).collect();
    Ok((!files.is_empty()).then(|| WeightSet::plain(format, files, missing)))
}

fn of_index(snapshot: &Snapshot, format: WeightFormat, shards: BTreeSet<String>) -> WeightSet {
    let there: BTreeMap<_, _> = snapshot.files.iter().map(|file| (file.path.as_str(), file)).collect();
    let (mut files, mut missing) = (vec![], vec![]);
    for shard in shards {
        match there.get(shard.as_str()) {
            Some(file) => files.push((*file).clone()),
            None => missing.push(shard),
        }
    }
    WeightSet::plain(format, files, missing)
}

fn candidates(snapshot: &Snapshot, fits: impl Fn(&str) -> bool) -> Vec<PartSet> {
    let files: Vec<_> = snapshot.files.iter().filter(|file| fits(&file.path)).cloned().collect();
    parts::group(&files)
}

/// One of several sets: those that are all there first, then by quantisation, then by name.
fn one_of(format: WeightFormat, mut sets: Vec<PartSet>) -> Option<WeightSet> {
    sets.sort_by_cached_key(|set| (!set.missing.is_empty(), preference(set.label()), set.name.clone()));
    let mut sets = sets.into_iter();
    let chosen = sets.next()?;
    let quantisation = chosen.label();
    let alternatives = sets
        .map(|set| Alternative {
            quantisation: set.label(),
            bytes: total(&set.files).filter(|_| set.missing.is_empty()),
            file: set.files.into_iter().next().map(|file| file.path).unwrap_or_default(),
        })
        .collect();
    Some(WeightSet { format, files: chosen.files, missing: chosen.missing, quantisation, alternatives })
}

impl PartSet {
    fn label(&self) -> Option<&'static str> {
        label_in_name(&self.name)
    }
}

/// Small and good enough first, then nearly lossless, then lossless; the rest follows by name.
fn preference(quantisation: Option<&str>) -> u8 {
    match quantisation {
        Some("Q4_K_M") => 0,
        Some("Q8_0") => 1,
        Some("F16" | "BF16") => 2,
        _ => 3,
    }
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
}

fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, found)| found.eq_ignore_ascii_case(extension))
}

/// Neither the eyes of a multimodal model nor the statistics of a quantisation are a model.
fn is_gguf(path: &str) -> bool {
    let name = file_name(path);
    has_extension(&name, "gguf") && !name.contains("mmproj") && !name.starts_with("imatrix")
}

fn is_ggml(path: &str) -> bool {
    let name = file_name(path);
    !path.contains('/') && name.starts_with("ggml-") && has_extension(&name, "bin")
}

/// Whether a file can hold code that is run when it is loaded, as its name tells: a pickle, also one that training left beside a model.
pub fn holds_code(path: &str) -> bool {
    let name = file_name(path);
    ["bin", "pt", "pth", "ckpt", "pkl", "pickle"].iter().any(|extension| has_extension(&name, extension))
        && !is_ggml(path)
        && !name.starts_with("openvino_")
}

/// What training leaves beside a model is no model (vLLM leaves out the same).
fn is_pickle(path: &str) -> bool {
    const LEFT_BY_TRAINING: [&str; 6] =
        ["training_args", "optimizer", "scheduler", "scaler", "rng_state", "openvino_"];
    let name = file_name(path);
    ["bin", "pt", "pth"].iter().any(|extension| has_extension(&name, extension))
        && !is_ggml(path)
        && !LEFT_BY_TRAINING.iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests;
