//! The sets of safetensors and pickle: shards that an index names, else the one file, else every file of the format.

use std::collections::{BTreeMap, BTreeSet};

use super::super::snapshot::{Snapshot, SnapshotFile};
use super::names::{file_name, has_extension, is_elsewhere, is_pickle, is_safetensors};
use super::{Shards, WeightFormat, WeightSet, parts};

/// Mistral publishes the same weights twice, under its own names and under everybody's.
pub(in super::super) const CONSOLIDATED: &str = "consolidated";

/// Says that a repository's sub-folders are modules of a model (sentence-transformers).
const MODULES: &str = "modules.json";

/// Says that a repository's sub-folders are the whole model (diffusers): files beside them hold it once more.
const PIPELINE: &str = "model_index.json";

/// Marks of variants of the same weights, the one that engines like most first.
const VARIANTS: [&str; 8] = ["bf16", "fp16", "fp32", "fp64", "fp8", "int8", "ema", "non_ema"];

/// A format whose sets are found in this way.
pub(super) struct Torch {
    format: WeightFormat,
    /// Names of a file that is the whole model; with `.index.json` behind it, of the index of its shards.
    singles: [&'static str; 2],
    fits: fn(&str) -> bool,
}

pub(super) const SAFETENSORS: Torch = Torch {
    format: WeightFormat::Safetensors,
    singles: ["model.safetensors", "diffusion_pytorch_model.safetensors"],
    fits: is_safetensors,
};

pub(super) const PICKLE: Torch = Torch {
    format: WeightFormat::Pickle,
    singles: ["pytorch_model.bin", "diffusion_pytorch_model.bin"],
    fits: is_pickle,
};

impl Torch {
    /// The set in the snapshot's own folder, and in those of its modules.
    pub(super) fn set<E>(
        &self,
        snapshot: &Snapshot,
        shards: &mut Shards<'_, E>,
    ) -> Result<Option<WeightSet>, E> {
        let pipeline = snapshot.file(PIPELINE).is_some();
        if !pipeline && snapshot.file(MODULES).is_none() {
            return self.in_folder(snapshot, "", shards);
        }
        let mut sets = Vec::new();
        for folder in self.folders(snapshot) {
            sets.extend(self.in_folder(snapshot, &folder, shards)?);
        }
        if !pipeline || sets.is_empty() {
            let main = self.in_folder(snapshot, "", shards)?;
            // A module alone is no model when the model itself is there in another format.
            let other = |file: &SnapshotFile| !file.path.contains('/') && is_pickle(&file.path);
            if main.is_none() && snapshot.files.iter().any(other) {
                return Ok(None);
            }
            sets.extend(main);
        }
        Ok(sets.into_iter().reduce(WeightSet::with))
    }

    /// Sub-folders with weights of this format, each with a `/` behind it.
    fn folders(&self, snapshot: &Snapshot) -> BTreeSet<String> {
        let weights =
            snapshot.files.iter().filter(|file| (self.fits)(&file.path) && !is_elsewhere(&file.path));
        weights
            .filter_map(|file| file.path.split_once('/'))
            .filter(|(_, name)| !name.contains('/'))
            .map(|(folder, _)| format!("{folder}/"))
            .collect()
    }

    /// The set in `folder`, which ends with a `/` or is empty.
    fn in_folder<E>(
        &self,
        snapshot: &Snapshot,
        folder: &str,
        shards: &mut Shards<'_, E>,
    ) -> Result<Option<WeightSet>, E> {
        for single in self.singles {
            let path = format!("{folder}{single}");
            let one_file = snapshot.file(&path);
            if let Some(set) = self.of_index(snapshot, folder, &path, shards)?
                // An index left behind by a conversion to one file says nothing about that file.
                && (!set.files.is_empty() || one_file.is_none())
            {
                return Ok(Some(set));
            }
            if let Some(file) = one_file {
                return Ok(Some(WeightSet::plain(self.format, vec![file.clone()], vec![])));
            }
        }
        let fits = |file: &&SnapshotFile| {
            file.path.strip_prefix(folder).is_some_and(|name| !name.contains('/') && (self.fits)(name))
        };
        let mut files: Vec<_> = snapshot.files.iter().filter(fits).cloned().collect();
        let consolidated = |file: &SnapshotFile| file_name(&file.path).starts_with(CONSOLIDATED);
        if files.iter().any(|file| !consolidated(file)) {
            files.retain(|file| !consolidated(file));
        } else {
            let path = format!("{folder}{CONSOLIDATED}.safetensors");
            if self.format == WeightFormat::Safetensors
                && let Some(set) = self.of_index(snapshot, folder, &path, shards)?
            {
                return Ok(Some(set));
            }
        }
        if self.format == WeightFormat::Pickle && files.iter().any(|file| has_extension(&file.path, "bin")) {
            files.retain(|file| has_extension(&file.path, "bin"));
        }
        let files = without_variants(files);
        let missing = parts::group(&files).into_iter().flat_map(|set| set.missing).collect();
        Ok((!files.is_empty()).then(|| WeightSet::plain(self.format, files, missing)))
    }

    /// The shards that the index of `single` names, where there is one that names any.
    fn of_index<E>(
        &self,
        snapshot: &Snapshot,
        folder: &str,
        single: &str,
        shards: &mut Shards<'_, E>,
    ) -> Result<Option<WeightSet>, E> {
        let Some(index) = snapshot.file(&format!("{single}.index.json")) else { return Ok(None) };
        let Some(names) = shards(index)?.filter(|names| !names.is_empty()) else { return Ok(None) };
        let there: BTreeMap<_, _> = snapshot.files.iter().map(|file| (file.path.as_str(), file)).collect();
        let (mut files, mut missing) = (vec![], vec![]);
        for name in names {
            let path = format!("{folder}{name}");
            match there.get(path.as_str()) {
                Some(file) if (self.fits)(&path) => files.push((*file).clone()),
                _ => missing.push(path),
            }
        }
        Ok(Some(WeightSet::plain(self.format, files, missing)))
    }
}

/// Of files that differ only in a mark such as `fp16` those without one, else those with the mark that engines like most.
fn without_variants(files: Vec<SnapshotFile>) -> Vec<SnapshotFile> {
    let mut best: BTreeMap<String, usize> = BTreeMap::new();
    for file in &files {
        let (name, rank) = variant(&file.path);
        best.entry(name).and_modify(|other| *other = rank.min(*other)).or_insert(rank);
    }
    let is_best = |file: &SnapshotFile| {
        let (name, rank) = variant(&file.path);
        best.get(&name) == Some(&rank)
    };
    files.into_iter().filter(is_best).collect()
}

/// A path without the mark of a variant and the number of a part, and the mark's place in the order: 0 is none.
fn variant(path: &str) -> (String, usize) {
    let whole = parts::Part::of(path).map_or_else(|| path.to_owned(), |part| part.whole());
    let Some((stem, extension)) = whole.rsplit_once('.') else { return (whole, 0) };
    let marked = stem.rsplit_once('.').and_then(|(plain, mark)| {
        let place = VARIANTS.iter().position(|known| *known == mark)?;
        Some((format!("{plain}.{extension}"), place + 1))
    });
    marked.unwrap_or((whole, 0))
}
