//! Which files of a repository are fetched or kept: one set of weights that an engine will load, and all small files.
//!
//! Pure: it is given a list of paths and lengths and asks for the text of indexes. The weights are those that
//! [`format::choose`] finds, and finds again among the chosen files: what is fetched is what is then loaded.

mod error;
mod wanted;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use self::error::ChooseError;
pub use self::wanted::{Choice, LeftOut, Wanted, Why};
use super::WeightFormat;
use super::format::{self, Alternative, CONSOLIDATED};
use super::snapshot::{Snapshot, SnapshotFile};

/// What is no weights and shorter than this, in bytes, is small: configurations, code, texts, pictures of a card.
pub const SMALL: u64 = 10_000_000;

/// A tokenizer may be this long, in bytes: vocabularies of a million words have some tens of megabytes.
pub const LARGE_TOKENIZER: u64 = 200_000_000;

/// The chosen files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Their places in the list that was given, ascending.
    pub files: Vec<usize>,
    /// All other files, in the order of the list.
    pub left_out: Vec<LeftOut>,
    /// What an engine will load.
    pub weights: Weights,
}

/// The set of weights that an engine will load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// How they are stored.
    pub format: WeightFormat,
    /// Their places in the list that was given, in the order of their paths.
    pub files: Vec<usize>,
    /// The sum of their lengths, in bytes.
    pub bytes: u64,
    /// The quantisation that the name of a GGUF file speaks of.
    pub quantisation: Option<&'static str>,
    /// Other sets of the same format that could be named instead, with `include`.
    pub alternatives: Vec<Alternative>,
}

/// Gives the content of the index at a path of the list, or nothing when it is to be passed over.
pub type ReadIndex<'a, E> = dyn FnMut(&str) -> Result<Option<Vec<u8>>, E> + 'a;

/// Chooses among `files`, each a path with `/` and a length in bytes, by the rules of [`Choice`]. `read` gives the content of an
/// index (`*.index.json`) of the list; `Ok(None)` passes it over, as if it were not in the list. It is asked at most once for each.
///
/// # Errors
/// [`ChooseError`]: an index that cannot be read, shards that are not there, no weights, only weights that can hold code.
pub fn choose<E>(
    files: &[(&str, u64)],
    read: &mut ReadIndex<'_, E>,
    choice: &Choice,
) -> Result<Chosen, ChooseError<E>> {
    let list = List { files, choice };
    let offered: Vec<bool> = (0..files.len()).map(|at| list.offered(at).is_ok()).collect();
    let at: BTreeMap<&str, usize> = files.iter().enumerate().map(|(at, (path, _))| (*path, at)).collect();
    let is_offered = |path: &String| at.get(path.as_str()).is_some_and(|at| offered[*at]);

    // What each index names, and whether it speaks of files that are left out on purpose.
    let indexes: RefCell<BTreeMap<String, Vec<String>>> = RefCell::default();
    let mut shards = |index: &SnapshotFile| -> Result<Option<BTreeSet<String>>, ChooseError<E>> {
        let path = index.path.clone();
        let Some(bytes) = read(&path).map_err(|error| ChooseError::Read { path: path.clone(), error })?
        else {
            indexes.borrow_mut().insert(path, vec![]);
            return Ok(None);
        };
        let names = format::parse_index(bytes.as_slice(), bytes.len() as u64)
            .map_err(|error| ChooseError::Index { path: path.clone(), error })?;
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let below = |name: &String| if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let paths: Vec<String> = names.iter().map(below).collect();
        let is_left_out =
            !paths.iter().any(is_offered) && paths.iter().any(|path| at.contains_key(path.as_str()));
        indexes.borrow_mut().insert(path, paths);
        Ok((!is_left_out).then_some(names))
    };
    let asked = choice.format.filter(|_| !choice.all).map(Wanted::format);
    let set = format::choose_with(&list.snapshot(&offered), asked, &mut shards)?
        .filter(|set| !set.files.is_empty() || !set.missing.is_empty())
        .ok_or_else(|| list.nothing())?;
    if !set.missing.is_empty() {
        return Err(ChooseError::Missing { missing: set.missing });
    }

    let weights: Vec<usize> =
        set.files.iter().filter_map(|file| at.get(file.path.as_str()).copied()).collect();
    let in_set: BTreeSet<usize> = weights.iter().copied().collect();
    let mut fates: Vec<Result<(), Why>> =
        (0..files.len()).map(|at| list.fate(at, &in_set, set.format)).collect();
    let indexes = indexes.into_inner();
    for (place, (path, _)) in files.iter().enumerate() {
        let Some(shards) = indexes.get(*path) else { continue };
        let is_kept = |shard: &String| at.get(shard.as_str()).is_some_and(|at| fates[*at].is_ok());
        if fates[place].is_ok() || fates[place] == Err(Why::Index) {
            let belongs = !shards.is_empty() && shards.iter().all(is_kept);
            fates[place] = if belongs { Ok(()) } else { Err(Why::Index) };
        }
    }
    let left_out = fates.iter().zip(files).filter_map(|(fate, (path, bytes))| {
        let why = fate.err()?;
        Some(LeftOut { path: (*path).to_owned(), bytes: *bytes, why })
    });
    Ok(Chosen {
        left_out: left_out.collect(),
        files: (0..files.len()).filter(|at| fates[*at].is_ok()).collect(),
        weights: Weights {
            format: set.format,
            bytes: weights.iter().fold(0, |sum: u64, at| sum.saturating_add(files[*at].1)),
            files: weights,
            quantisation: set.quantisation,
            alternatives: set.alternatives,
        },
    })
}

/// What is chosen from, and how.
struct List<'a> {
    files: &'a [(&'a str, u64)],
    choice: &'a Choice,
}

impl List<'_> {
    /// Whether an engine may be offered the file at `at`, when it looks for weights.
    fn offered(&self, at: usize) -> Result<(), Why> {
        let (path, bytes) = self.files[at];
        let choice = self.choice;
        if choice.exclude.iter().any(|pattern| pattern.matches(path)) {
            return Err(Why::Excluded);
        }
        if format::holds_code(path) && !choice.allow_pickle {
            return Err(Why::Pickle);
        }
        if choice.all {
            return Ok(());
        }
        let is_included = choice.include.iter().any(|pattern| pattern.matches(path));
        if format::is_elsewhere(path) && !is_included {
            return Err(Why::OtherRuntime);
        }
        if format::is_index(path) {
            let consolidated = path.starts_with(CONSOLIDATED);
            return if choice.format == Some(Wanted::Mistral) && !consolidated {
                Err(Why::Index)
            } else {
                Ok(())
            };
        }
        if !format::is_weights(path) {
            return if is_included || is_small(path, bytes) { Ok(()) } else { Err(Why::Large) };
        }
        if !choice.include.is_empty() && !is_included {
            return Err(Why::NotIncluded);
        }
        match (choice.format, format::format_of(path)) {
            (Some(wanted), Some(format)) if wanted.format() != format => Err(Why::OtherFormat),
            (Some(Wanted::Mistral), _) if !path.starts_with(CONSOLIDATED) => Err(Why::OtherSet),
            _ => Ok(()),
        }
    }

    /// Whether the file at `at` is kept when the set is `in_set` of `format`. Indexes that were read are settled by the caller.
    fn fate(&self, at: usize, in_set: &BTreeSet<usize>, format: WeightFormat) -> Result<(), Why> {
        self.offered(at)?;
        let (path, _) = self.files[at];
        let choice = self.choice;
        if choice.all || in_set.contains(&at) {
            return Ok(());
        }
        // One that was not read is of another set, also when a pattern matches: it would lead an engine to shards that are not there.
        if format::is_index(path) {
            return Err(Why::Index);
        }
        if choice.include.iter().any(|pattern| pattern.matches(path)) {
            return Ok(());
        }
        if !format::is_weights(path) || (format == WeightFormat::Gguf && format::is_projector(path)) {
            return Ok(());
        }
        Err(if format::format_of(path) == Some(format) { Why::OtherSet } else { Why::OtherFormat })
    }

    fn snapshot(&self, offered: &[bool]) -> Snapshot {
        let file = |(path, bytes): &(&str, u64)| SnapshotFile {
            path: (*path).to_owned(),
            bytes: Some(*bytes),
            file: PathBuf::from(path),
        };
        let offered = self.files.iter().zip(offered).filter(|(_, offered)| **offered);
        let mut files: Vec<_> = offered.map(|(it, _)| file(it)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path)); // as a folder is listed
        Snapshot { files, ..Snapshot::default() }
    }

    /// Says why there are no weights.
    fn nothing<E>(&self) -> ChooseError<E> {
        let asked = self.choice.format;
        let of = |wanted: WeightFormat| {
            let found = self.files.iter().map(|(path, _)| *path);
            found.filter(move |path| format::format_of(path) == Some(wanted) && !format::is_elsewhere(path))
        };
        let there: Vec<_> =
            WeightFormat::ALL.into_iter().filter(|format| of(*format).next().is_some()).collect();
        let allowing = Choice { allow_pickle: true, ..self.choice.clone() };
        let list = List { choice: &allowing, ..*self };
        let refused = |at: &usize| {
            let path = self.files[*at].0;
            let is_weights =
                format::format_of(path) == Some(WeightFormat::Pickle) && !format::is_elsewhere(path);
            is_weights && list.offered(*at).is_ok()
        };
        match (0..self.files.len()).find(refused).filter(|_| !self.choice.allow_pickle) {
            Some(first) => ChooseError::Pickle { first: self.files[first].0.to_owned() },
            None => ChooseError::NoWeights { asked, there },
        }
    }
}

/// Whether a file that is no weights is small, or a tokenizer's.
fn is_small(path: &str, bytes: u64) -> bool {
    const BEGINS: [&str; 8] =
        ["tokenizer", "vocab", "merges", "tekken", "spiece", "sentencepiece", "source.", "target."];
    const ENDS: [&str; 4] = [".model", ".tiktoken", ".spm", ".bpe"];
    let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_tokenizer =
        BEGINS.iter().any(|begin| name.starts_with(begin)) || ENDS.iter().any(|end| name.ends_with(end));
    bytes < if is_tokenizer { LARGE_TOKENIZER } else { SMALL }
}

#[cfg(test)]
mod tests;
