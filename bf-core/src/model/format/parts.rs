//! Files that belong together by their names: `name-00001-of-00003.gguf`, llama.cpp's and everybody's way to split.

use std::collections::{BTreeMap, BTreeSet};

use super::super::snapshot::SnapshotFile;

/// The most missing parts of a set that are named: a file name alone can claim 99 999.
const MAX_MISSING: usize = 20;

/// A file, or all parts of one.
#[derive(Debug)]
pub(super) struct PartSet {
    /// The path without the number of the part.
    pub(super) name: String,
    /// The files that are there, by name.
    pub(super) files: Vec<SnapshotFile>,
    /// The names of parts that are not, some of them when they are many.
    pub(super) missing: Vec<String>,
}

/// Sorts files into sets, by name.
pub(super) fn group(files: &[SnapshotFile]) -> Vec<PartSet> {
    let mut sets: BTreeMap<String, (Option<Part<'_>>, Vec<SnapshotFile>)> = BTreeMap::new();
    for file in files {
        let part = Part::of(&file.path);
        let name = part.as_ref().map_or_else(|| file.path.clone(), Part::name);
        sets.entry(name).or_insert((part, vec![])).1.push(file.clone());
    }
    sets.into_iter()
        .map(|(name, (part, mut files))| {
            files.sort_by(|a, b| a.path.cmp(&b.path));
            let there: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
            let lacks = |path: &String| !there.contains(path.as_str());
            let missing =
                part.map(|part| part.all().filter(lacks).take(MAX_MISSING).collect()).unwrap_or_default();
            PartSet { name, files, missing }
        })
        .collect()
}

/// `<stem>-<number>-of-<count>.<extension>`, both numbers with five digits.
pub(super) struct Part<'a> {
    stem: &'a str,
    count: u32,
    extension: &'a str,
}

impl<'a> Part<'a> {
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let (rest, extension) = path.rsplit_once('.')?;
        let (rest, count) = rest.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let (number, count) = (five_digits(number)?, five_digits(count)?);
        (1..=count).contains(&number).then_some(Self { stem, count, extension })
    }

    fn name(&self) -> String {
        format!("{}-of-{:05}.{}", self.stem, self.count, self.extension)
    }

    /// The path as if there were only one part.
    pub(super) fn whole(&self) -> String {
        format!("{}.{}", self.stem, self.extension)
    }

    fn all(&self) -> impl Iterator<Item = String> {
        (1..=self.count)
            .map(|number| format!("{}-{number:05}-of-{:05}.{}", self.stem, self.count, self.extension))
    }
}

fn five_digits(text: &str) -> Option<u32> {
    (text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}
