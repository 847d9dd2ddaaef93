//! All images of a cache, as `image ls` shows them: those that were provisioned, and files that somebody put there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::find::{of_lock, open};
use super::{Digest, ImageError, Reference, Sif};
use crate::report::{Explain, Finding};
use crate::site::{Layout, Locked};

/// What to do about a damaged file that somebody put into `images/`.
pub const STRAY_HINT: &str = "remove it, or import it again";

/// One image that can be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageInfo {
    /// Its name in site.lock, or that of its file without `.sif`.
    pub name: String,
    /// Where it came from, as site.lock or the file itself says.
    #[serde(rename = "ref")]
    pub reference: Option<Reference>,
    /// The manifest it was pinned to.
    pub digest: Option<Digest>,
    /// The name that users open, relative to the cache.
    pub sif: String,
    /// The file behind it.
    #[serde(serialize_with = "crate::report::lossy::path")]
    pub path: PathBuf,
    /// Its length.
    pub size_bytes: u64,
    /// How its root filesystem is compressed.
    pub compression: Option<&'static str>,
    /// What it runs on, as `uname -m` says it.
    pub architecture: Option<&'static str>,
    /// Whether site.lock has it.
    pub managed: bool,
}

/// The images that can be run, and what is wrong with the others.
#[derive(Debug, Default, Serialize)]
pub struct Inventory {
    /// By name.
    pub images: Vec<ImageInfo>,
    /// Each a warning.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

/// Lists them.
pub fn list(layout: &Layout, locked: &Locked) -> Inventory {
    let mut inventory = Inventory::default();
    let mut seen = BTreeSet::new();
    for (name, own) in &locked.images {
        seen.insert(own.sif.clone());
        match of_lock(layout, name, own) {
            Ok(Some(sif)) => inventory.images.push(info(sif, own.sif.clone(), own.digest.clone(), true)),
            Ok(None) => inventory.warn(
                Finding::warning("image_missing", format!("the image {name} is not there: {}", own.sif))
                    .with_hint("`bf-admin setup` or `bf-admin image pull` brings it back"),
            ),
            Err(error) => inventory.fault(&error, layout.root().join(&own.sif)),
        }
    }
    for path in files(layout) {
        let shown = layout.relative(&path).display().to_string();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if !seen.insert(shown.clone()) {
            continue;
        }
        match open(layout, name, None, &path) {
            Ok(Some(sif)) => inventory.images.push(info(sif, shown, None, false)),
            Ok(None) => {}
            // What nobody declared no setup mends.
            Err(error @ ImageError::Damaged { .. }) if error.code() == "image_damaged" => {
                let finding = Finding::warning(error.code(), error.to_string()).with_hint(STRAY_HINT);
                inventory.warn(Finding { file: Some(path), ..finding });
            }
            Err(error) => inventory.fault(&error, path),
        }
    }
    inventory.images.sort_by(|a, b| a.name.cmp(&b.name));
    inventory
}

/// The files in `images/` that users see and that are called like an image.
fn files(layout: &Layout) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(layout.images()).into_iter().flatten().flatten();
    let is_sif = |path: &Path| path.extension().is_some_and(|end| end == "sif");
    let hidden = |path: &Path| path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| is_sif(path) && !hidden(path)).collect();
    files.sort();
    files
}

fn info(found: Sif, sif: String, digest: Option<Digest>, managed: bool) -> ImageInfo {
    ImageInfo {
        name: found.name,
        reference: found.reference.or(found.header.source),
        digest,
        sif,
        path: found.path,
        size_bytes: found.header.bytes,
        compression: found.header.primary.compression,
        architecture: found.header.primary.architecture,
        managed,
    }
}

impl Inventory {
    fn fault(&mut self, error: &ImageError, file: PathBuf) {
        let finding = Finding::warning(error.code(), error.to_string());
        self.warn(Finding { hint: error.hint(), file: Some(file), ..finding });
    }

    fn warn(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}
