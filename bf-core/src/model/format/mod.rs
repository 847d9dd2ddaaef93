//! Which files of a snapshot are the weights that an engine will load.
//!
//! Rules as vLLM and llama.cpp load them: safetensors before GGUF before pickle; only what the index names; of several
//! quantisations one. Whatever else lies in a snapshot does not count into a model's size.

mod index;
mod names;
mod parts;
mod preference;
mod torch;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Serialize, Serializer};

pub use self::{index::MAX_INDEX, names::holds_code};
pub(super) use self::{
    index::parse as parse_index,
    names::{format_of, is_elsewhere, is_index, is_projector, is_weights},
    torch::CONSOLIDATED,
};
use self::{
    names::{is_ggml, is_gguf},
    parts::PartSet,
    preference::preference,
    torch::{PICKLE, SAFETENSORS},
};
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

    /// Both sets of a model whose weights are in several folders.
    fn with(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.missing.extend(other.missing);
        self
    }
}

fn total(files: &[SnapshotFile]) -> Option<u64> {
    files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.bytes?))
}

/// How an index is read: the shards that it names, or nothing when it is to be passed over.
pub(super) type Shards<'a, E> = dyn FnMut(&SnapshotFile) -> Result<Option<BTreeSet<String>>, E> + 'a;

/// The weights in `snapshot`: of the format `asked` for, else of the preferred one there is. Nothing when there are none.
///
/// # Errors
/// The index of shards and what is wrong with it.
pub fn choose(
    snapshot: &Snapshot,
    asked: Option<WeightFormat>,
) -> Result<Option<WeightSet>, (PathBuf, HeaderError)> {
    choose_with(snapshot, asked, &mut |index| {
        index::shards(&index.file).map(Some).map_err(|error| (index.file.clone(), error))
    })
}

/// As [`choose`], with indexes that `shards` reads: of files that lie somewhere else.
pub(super) fn choose_with<E>(
    snapshot: &Snapshot,
    asked: Option<WeightFormat>,
    shards: &mut Shards<'_, E>,
) -> Result<Option<WeightSet>, E> {
    for format in WeightFormat::ALL.into_iter().filter(|format| asked.is_none_or(|asked| asked == *format)) {
        let set = match format {
            WeightFormat::Safetensors => SAFETENSORS.set(snapshot, shards)?,
            WeightFormat::Gguf => one_of(format, candidates(snapshot, is_gguf)),
            WeightFormat::Ggml => one_of(format, candidates(snapshot, is_ggml)),
            WeightFormat::Pickle => PICKLE.set(snapshot, shards)?,
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

fn candidates(snapshot: &Snapshot, fits: impl Fn(&str) -> bool) -> Vec<PartSet> {
    let files: Vec<_> = snapshot.files.iter().filter(|file| fits(&file.path)).cloned().collect();
    parts::group(&files)
}

/// One of several sets: those that are all there first, then by quantisation ([`preference`](mod@preference)), then by name.
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

#[cfg(test)]
mod tests;
