//! `image prune`: removes what is in the store and has no name any more, unless a job uses it or it may be wanted again.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use bf_core::image::{Reference, sif};
use bf_core::publish::Publisher;
use bf_core::report::{Exit, Failure, Report, human_bytes, table};
use bf_core::site::{Declared, Layout, Locked, LockedImage, Part, Retention};
use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::in_use::{self, InUse};
use crate::session::{self, Make};
use crate::{locate, printer, retained};

/// Options of `image prune`.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Also what was replaced a short time ago, or is one of those that `retention` keeps
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
struct Old {
    /// Its name in the store.
    file: String,
    /// What it says it was made of.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<Reference>,
    bytes: u64,
    /// Why it stays; nothing when it goes.
    kept: Option<String>,
    #[serde(skip)]
    #[serde(serialize_with = "bf_core::report::lossy::path")]
    path: PathBuf,
    #[serde(skip)]
    retired: SystemTime,
}

#[derive(Debug, Serialize)]
struct Pruned {
    dry_run: bool,
    /// Bytes of what was removed, or would be.
    freed: u64,
    files: Vec<Old>,
}

impl Report for Pruned {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would be removed" } else { "removed" };
        let rows = self.files.iter().map(|old| {
            vec![
                old.file.clone(),
                old.reference.as_ref().map_or_else(|| "-".into(), ToString::to_string),
                human_bytes(old.bytes),
                old.kept.as_ref().map_or_else(|| verb.to_owned(), |why| format!("kept: {why}")),
            ]
        });
        table(out, &["FILE", "REF", "SIZE", ""], rows)?;
        match (self.files.iter().any(|old| old.kept.is_none()), self.dry_run) {
            (false, _) => writeln!(out, "nothing to do"),
            (true, true) => writeln!(out, "{} to be freed", human_bytes(self.freed)),
            (true, false) => writeln!(out, "{} freed", human_bytes(self.freed)),
        }
    }
}

impl Prune {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let layout = bf_core::site::open(locate::cache(context)?.root())?;
        let declared = locate::declared_in(&layout)?;
        let pruned = if self.dry_run {
            session::writable(&layout, Make::Itself)?;
            self.found(context, &layout, declared.as_ref())?
        } else {
            let policy = session::policy(declared.as_ref())?;
            session::run(context, &layout, Make::Itself, policy, |publisher| {
                let pruned = self.found(context, &layout, declared.as_ref())?;
                remove(publisher, &pruned)?;
                let count = pruned.files.iter().filter(|old| old.kept.is_none()).count();
                let line = (count > 0).then(|| format!("ok: {count} files removed, {} bytes", pruned.freed));
                Ok((pruned, line))
            })?
        };
        context.printer.print(&pruned)?;
        Ok(Exit::Ok)
    }

    fn found(
        &self,
        context: &Context,
        layout: &Layout,
        declared: Option<&Declared>,
    ) -> Result<Pruned, Failure> {
        let locked = Locked::load(layout)?;
        let mut files = unnamed(layout, &locked)?;
        let retention = declared.map(|declared| declared.retention).unwrap_or_default();
        if !self.all {
            keep_some(&mut files, &locked, retention, SystemTime::now());
        }
        if files.iter().any(|old| old.kept.is_none()) {
            let clusters =
                declared.map(|declared| declared.rules.slurm.clusters.as_slice()).unwrap_or_default();
            let used = InUse::ask(&context.environment, clusters);
            for old in files.iter_mut().filter(|old| old.kept.is_none()) {
                let jobs = used.of_image(old.file.get(..12).unwrap_or_default());
                old.kept = (!jobs.is_empty()).then(|| format!("used by {}", in_use::shown(jobs)));
            }
            match used.unsure {
                Some(failure) if !self.force => return Err(failure),
                Some(failure) => printer::warning(&failure.message, None),
                None => {}
            }
        }
        let freed = files.iter().filter(|old| old.kept.is_none()).map(|old| old.bytes).sum();
        Ok(Pruned { dry_run: self.dry_run, freed, files })
    }
}

fn remove(publisher: &Publisher<'_>, pruned: &Pruned) -> Result<(), Failure> {
    for old in pruned.files.iter().filter(|old| old.kept.is_none()) {
        publisher.remove(Part::Images, &old.path)?;
    }
    Ok(())
}

/// The files of the store that site.lock has no name for. What is no image file is somebody else's.
fn unnamed(layout: &Layout, locked: &Locked) -> Result<Vec<Old>, Failure> {
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
            files.push(Old {
                file,
                reference,
                bytes: meta.len(),
                kept: None,
                path,
                retired: meta.modified()?,
            });
        }
    }
    files.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(files)
}

/// Keeps what was replaced within the time of grace, and of each image as many as site.yaml says. A file is marked with the time
/// when it lost its name ([`crate::apply::write_lock`]).
fn keep_some(files: &mut [Old], locked: &Locked, retention: Retention, now: SystemTime) {
    let mut by_age: Vec<&mut Old> = files.iter_mut().collect();
    by_age.sort_by_key(|old| std::cmp::Reverse(old.retired));
    let present =
        |reference: &Reference| locked.images.values().any(|own| own.reference.as_ref() == Some(reference));
    let mut kept: BTreeMap<Reference, u32> = BTreeMap::new();
    for old in by_age {
        // Of an image that has no name at all any more nothing is kept for going back.
        let spare = old.reference.as_ref().filter(|reference| present(reference)).is_some_and(|reference| {
            let kept = kept.entry(reference.clone()).or_insert(1);
            *kept += 1;
            *kept <= retention.keep_images
        });
        let spare = spare.then_some((retention.keep_images, "keep_images"));
        old.kept = retained::why(old.retired, now, retention.grace_days, spare);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn old(file: &str, reference: Option<&str>, days: u64, now: SystemTime) -> Old {
        Old {
            file: file.into(),
            reference: reference.map(|text| text.parse().unwrap()),
            bytes: 1,
            kept: None,
            path: PathBuf::new(),
            retired: now - Duration::from_hours(24 * days),
        }
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
            compression: "zstd:6".into(),
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
        let kept: Vec<(&str, Option<&str>)> =
            files.iter().map(|old| (old.file.as_str(), old.kept.as_deref())).collect();
        assert_eq!(
            kept,
            [
                ("oldest", None),
                ("old", Some("one of the 2 that `retention.keep_images` keeps")),
                ("gone", None),
                ("nobody", None),
                ("young", Some("needed until lately, kept for 11 more days (`retention.grace_days`)")),
            ]
        );
    }
}
