//! Images in an OCI image layout: `oci-layout`, `index.json`, `blobs/sha256/<hex>`.

use std::io::Read;
use std::sync::Arc;

use super::files::Files;
use super::image::check_bytes;
use super::{
    Blobs, Descriptor, Document, Image, Index, MAX_CONFIG, MAX_MANIFEST, Manifest, OciError, Platform,
    Verified,
};
use crate::image::{Digest, Reference};
use crate::report::Failure;

pub(super) const MARKER: &str = "oci-layout";
pub(super) const INDEX: &str = "index.json";
/// How deep indexes of indexes are followed.
const MAX_DEPTH: usize = 4;

/// Finds the image, in the layout's index and those below it.
pub(super) fn image(
    files: &Arc<Files>,
    wanted: Option<&str>,
    platform: &Platform,
) -> Result<Image, OciError> {
    let name = files.place.as_str();
    let bytes = files.read(INDEX, "manifest", MAX_MANIFEST)?;
    let Document::Index(index) = Document::parse(&bytes, Some(super::media::INDEX), name)? else {
        let reason = format!("{INDEX} is no index");
        return Err(OciError::NoImage { place: name.to_owned(), reason });
    };
    let chosen = choose(index, wanted, name)?;
    let (raw, manifest) = follow(files, chosen, platform)?;
    let config = files.read(&blob(&manifest.config.digest), "configuration", MAX_CONFIG)?;
    Image::new(name, platform, raw, manifest, config, Box::new(Layout { files: Arc::clone(files) }))
}

/// The entries that are named so; all, if nothing is said and there is one name only.
fn choose(index: Index, wanted: Option<&str>, place: &str) -> Result<Index, OciError> {
    let Index { media_type, manifests } = index;
    let names = |entry: &Descriptor| {
        let keys = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
        keys.iter().filter_map(|key| entry.annotations.get(*key)).cloned().collect::<Vec<_>>()
    };
    let all: Vec<Vec<String>> = manifests.iter().map(names).collect();
    // What has no name can be asked for by its digest.
    let digests: Vec<String> = manifests.iter().map(|entry| entry.digest.to_string()).collect();
    let found =
        listed(all.iter().zip(&digests).map(|(names, digest)| names.first().unwrap_or(digest).as_str()));
    if let Some(wanted) = wanted {
        let is_it = |names: &[String], entry: &Descriptor| {
            names.iter().any(|name| same(name, wanted)) || entry.digest.to_string() == wanted
        };
        let manifests: Vec<_> = manifests
            .into_iter()
            .zip(&all)
            .filter(|(entry, names)| is_it(names, entry))
            .map(|(entry, _)| entry)
            .collect();
        if manifests.is_empty() {
            return Err(OciError::NoSuchImage { place: place.to_owned(), wanted: wanted.to_owned(), found });
        }
        return Ok(Index { media_type, manifests });
    }
    if all.iter().any(|names| Some(names) != all.first()) {
        return Err(OciError::Several { place: place.to_owned(), found });
    }
    Ok(Index { media_type, manifests })
}

/// Whether two names are the same image: as they are written, or as Docker reads them.
pub(super) fn same(name: &str, wanted: &str) -> bool {
    name == wanted
        || matches!((name.parse::<Reference>(), wanted.parse::<Reference>()), (Ok(name), Ok(wanted)) if name == wanted)
}

/// Names for a message: the first ones.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.take(SHOWN + 1).collect();
    let text: String = names
        .iter()
        .take(SHOWN)
        .map(|name| name.chars().take(120).collect())
        .collect::<Vec<String>>()
        .join(", ");
    match names.len() {
        0 => "nothing".into(),
        count if count > SHOWN => format!("{text} and more"),
        _ => text,
    }
}

/// Goes down to a manifest for this machine.
fn follow(files: &Files, mut index: Index, platform: &Platform) -> Result<(Vec<u8>, Manifest), OciError> {
    let name = files.place.as_str();
    for _ in 0..MAX_DEPTH {
        let entry = platform.choose_or_fail(&index, name)?;
        let bytes = files.read(&blob(&entry.digest), "manifest", MAX_MANIFEST)?;
        check_bytes(&bytes, entry, "manifest", name)?;
        match Document::parse(&bytes, Some(&entry.media_type), name)? {
            Document::Manifest(manifest) => return Ok((bytes, manifest)),
            Document::Index(next) => index = next,
        }
    }
    let reason = format!("indexes are nested deeper than {MAX_DEPTH}");
    Err(OciError::Malformed { name: name.to_owned(), what: "manifest", reason })
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The layers in the layout.
struct Layout {
    files: Arc<Files>,
}

impl Blobs for Layout {
    fn open(&self, layer: &Descriptor) -> Result<Box<dyn Read + Send>, Failure> {
        let opened = self.files.open(&blob(&layer.digest))?;
        Ok(Box::new(Verified::new(opened.reader, layer.clone())))
    }
}
