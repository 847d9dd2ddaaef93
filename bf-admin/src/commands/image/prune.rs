//! `image prune`: removes what is in the store and has no name any more, unless a job uses it or it may be wanted again.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::SystemTime;

use bf_core::image::{Reference, sif};
use bf_core::report::{Exit, Failure, Report, human_bytes, table};
use bf_core::site::{Declared, Layout, Locked, LockedImage, Part, Retention};
use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::removal::{self, Old};

/// Options of `image prune`.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Also what `retention` of site.yaml keeps: what was needed until lately, and earlier files of an image
    #[arg(long)]
    all: bool,
    /// Also when it cannot be known which images jobs use
    #[arg(long)]
    force: bool,
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
}

/// One file of the store that has no name.
#[derive(Debug, Serialize)]
struct InStore {
    /// Its name in the store.
    file: String,
    /// What it says it was made of.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<Reference>,
}

#[derive(Debug, Serialize)]
struct Pruned {
    dry_run: bool,
    /// Bytes of what was removed, or would be.
    freed: u64,
    files: Vec<Old<InStore>>,
}

impl Report for Pruned {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.files.iter().map(|old| {
            let reference = old.what.reference.as_ref().map_or_else(|| "-".into(), ToString::to_string);
            vec![old.what.file.clone(), reference, human_bytes(old.bytes), old.fate(self.dry_run)]
        });
        table(out, &["FILE", "REF", "SIZE", ""], rows)?;
        removal::closing(out, &self.files, self.dry_run)
    }
}

impl Prune {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let find = |layout: &Layout, locked: &Locked, declared: Option<&Declared>| {
            self.found(context, layout, locked, declared)
        };
        removal::run(context, self.dry_run, find, |publisher, _, pruned| {
            for old in pruned.files.iter().filter(|old| old.goes()) {
                publisher.remove(Part::Images, &old.path)?;
            }
            Ok(removal::audit(&pruned.files, "file"))
        })
    }

    fn found(
        &self,
        context: &Context,
        layout: &Layout,
        locked: &Locked,
        declared: Option<&Declared>,
    ) -> Result<Pruned, Failure> {
        let mut files = unnamed(layout, locked)?;
        let retention = declared.map(|declared| declared.retention).unwrap_or_default();
        if !self.all {
            keep_some(&mut files, locked, retention, SystemTime::now());
        }
        if files.iter().any(Old::goes) {
            let used = removal::used(context, declared);
            removal::keep_used(&mut files, used, self.force, |used, own| {
                used.of_image(own.file.get(..12).unwrap_or_default())
            })?;
        }
        Ok(Pruned { dry_run: self.dry_run, freed: removal::freed(&files), files })
    }
}

/// The files of the store that site.lock has no name for. What is no image file is somebody else's.
fn unnamed(layout: &Layout, locked: &Locked) -> Result<Vec<Old<InStore>>, Failure> {
    let store = layout.image_store();
    let entries = match fs_err::read_dir(&store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let used: Vec<String> = locked.images.values().map(LockedImage::store_name).collect();
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let (file, meta) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata()?);
        let is_ours =
            file.get(..12).is_some_and(|digest| digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
                && file.strip_suffix(".sif").is_some_and(|stem| stem.as_bytes().get(12) == Some(&b'-'));
        if meta.is_file() && is_ours && !used.contains(&file) {
            let path = entry.path();
            let reference = sif::read(&path).ok().and_then(|header| header.source).map(Reference::unpinned);
            files.push(Old::new(InStore { file, reference }, meta.len(), path, meta.modified()?));
        }
    }
    files.sort_by(|a, b| a.what.file.cmp(&b.what.file));
    Ok(files)
}

/// Keeps what was replaced within the time of grace, and of each image as many as site.yaml says. A file is marked with the time
/// when it lost its name ([`crate::apply::write_lock`]).
fn keep_some(files: &mut [Old<InStore>], locked: &Locked, retention: Retention, now: SystemTime) {
    let mut by_age: Vec<&mut Old<InStore>> = files.iter_mut().collect();
    by_age.sort_by_key(|old| std::cmp::Reverse(old.since));
    let present =
        |reference: &Reference| locked.images.values().any(|own| own.reference.as_ref() == Some(reference));
    let mut kept: BTreeMap<Reference, u32> = BTreeMap::new();
    for old in by_age {
        // Of an image that has no name at all any more nothing is kept for going back.
        let spare =
            old.what.reference.as_ref().filter(|reference| present(reference)).is_some_and(|reference| {
                let kept = kept.entry(reference.clone()).or_insert(1);
                *kept += 1;
                *kept <= retention.keep_images
            });
        let spare = spare.then_some((retention.keep_images, "keep_images"));
        old.kept = removal::why(old.since, now, retention.grace_days, spare);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    fn old(file: &str, reference: Option<&str>, days: u64, now: SystemTime) -> Old<InStore> {
        let reference = reference.map(|text| text.parse().unwrap());
        let since = now - Duration::from_hours(24 * days);
        Old::new(InStore { file: file.into(), reference }, 1, PathBuf::new(), since)
    }

    #[test]
    fn the_newest_and_the_young_are_kept() {
        let now = SystemTime::now();
        let mut locked = Locked::default();
        let image = LockedImage {
            reference: Some("a/b:1".parse().unwrap()),
            digest: None,
            sif: "images/b_1.sif".into(),
            sha256: "0".repeat(64),
            bytes: 1,
            compression: "zstd:8".into(),
            partition_sha256: None,
            metadata_sha256: None,
        };
        locked.images.insert("b".into(), image);
        let mut files = vec![
            old("oldest", Some("a/b:1"), 40, now),
            old("old", Some("a/b:1"), 30, now),
            old("gone", Some("a/c:1"), 30, now),
            old("nobody", None, 15, now),
            old("young", None, 3, now),
        ];
        keep_some(&mut files, &locked, Retention::default(), now);
        let young = removal::why(files[4].since, now, 14, None);
        assert!(young.as_ref().unwrap().starts_with("needed until 3 days ago, stays until "), "{young:?}");
        let kept: Vec<(&str, Option<&str>)> =
            files.iter().map(|old| (old.what.file.as_str(), old.kept.as_deref())).collect();
        assert_eq!(
            kept,
            [
                ("oldest", None),
                ("old", Some("one of the 2 that `retention.keep_images` keeps")),
                ("gone", None),
                ("nobody", None),
                ("young", young.as_deref()),
            ]
        );
    }
}
