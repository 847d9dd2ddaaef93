//! Images as `docker save` writes them: `manifest.json`, a configuration, and layers that are tar archives.
//!
//! There is no manifest of a registry in them, so one is made up: its layers' digests are those of the unpacked content
//! (`diff_ids`), which only who unpacks them can compare. The archive's own names of layers are never used as paths of files.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::Arc;

use serde::Deserialize;

use super::descriptor::or_default;
use super::files::Files;
use super::layout::{listed, same};
use super::{
    Blobs, Descriptor, Image, ImageConfig, MAX_CONFIG, MAX_MANIFEST, Manifest, OciError, Platform, image,
    media,
};
use crate::image::Digest;
use crate::report::Failure;

pub(super) const MANIFEST: &str = "manifest.json";

/// An entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default, deserialize_with = "or_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    layers: Vec<String>,
}

/// Finds the image.
pub(super) fn image(
    files: &Arc<Files>,
    wanted: Option<&str>,
    platform: &Platform,
) -> Result<Image, OciError> {
    let name = files.place.as_str();
    let bytes = files.read(MANIFEST, "manifest", MAX_MANIFEST)?;
    let entries: Vec<Entry> = serde_json::from_slice(&bytes).map_err(|error| OciError::Malformed {
        name: name.to_owned(),
        what: "manifest",
        reason: error.to_string(),
    })?;
    let entry = choose(entries, wanted, name)?;
    let config_raw = files.read(&entry.config, "configuration", MAX_CONFIG)?;
    let config = ImageConfig::parse(&config_raw, name)?;
    let (layers, diff_ids) = (entry.layers.len(), config.rootfs.diff_ids.len());
    if layers != diff_ids {
        return Err(OciError::LayerCount { name: name.to_owned(), layers, diff_ids });
    }
    let mut manifest = Manifest {
        media_type: None,
        config: Descriptor {
            media_type: media::DOCKER_CONFIG.into(),
            digest: image::of(&config_raw, name)?,
            size: config_raw.len() as u64,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
        },
        layers: Vec::with_capacity(layers),
        annotations: BTreeMap::new(),
    };
    let mut members = HashMap::new();
    for (member, diff_id) in entry.layers.iter().zip(&config.rootfs.diff_ids) {
        let mut opened = files.open(member)?;
        let ending = compression(&mut opened.reader)?;
        let media_type = format!("{}{ending}", media::LAYER);
        members.insert((diff_id.clone(), media_type.clone()), member.clone());
        manifest.layers.push(Descriptor {
            media_type,
            digest: diff_id.clone(),
            size: opened.size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
        });
    }
    let saved = Saved { files: Arc::clone(files), members };
    Image::new(name, platform, Vec::new(), manifest, config_raw, Box::new(saved))
}

fn choose(mut entries: Vec<Entry>, wanted: Option<&str>, place: &str) -> Result<Entry, OciError> {
    let names =
        entries.iter().map(|entry| entry.repo_tags.first().map_or("one without a name", String::as_str));
    let found = listed(names);
    let at = match wanted {
        Some(wanted) => entries
            .iter()
            .position(|entry| entry.repo_tags.iter().any(|name| same(name, wanted)))
            .ok_or_else(|| OciError::NoSuchImage {
                place: place.to_owned(),
                wanted: wanted.to_owned(),
                found,
            })?,
        None if entries.len() == 1 => 0,
        None if entries.is_empty() => {
            let reason = format!("{MANIFEST} is empty");
            return Err(OciError::NoImage { place: place.to_owned(), reason });
        }
        None => return Err(OciError::Several { place: place.to_owned(), found }),
    };
    Ok(entries.swap_remove(at))
}

/// How a layer is compressed, by its first bytes: some writers compress them and do not say so.
fn compression(reader: &mut dyn Read) -> Result<&'static str, OciError> {
    let mut start = Vec::new();
    reader.take(4).read_to_end(&mut start)?;
    Ok(match start.as_slice() {
        [0x1f, 0x8b, ..] => "+gzip",
        [0x28, 0xb5, 0x2f, 0xfd] => "+zstd",
        _ => "",
    })
}

/// The layers in the archive.
struct Saved {
    files: Arc<Files>,
    /// By digest of the content and media type: of two with the same ones either will do.
    members: HashMap<(Digest, String), String>,
}

impl Blobs for Saved {
    fn open(&self, layer: &Descriptor) -> Result<Box<dyn Read + Send>, Failure> {
        let missing =
            || OciError::Missing { place: self.files.place.clone(), member: layer.digest.to_string() };
        let key = (layer.digest.clone(), layer.media_type.clone());
        let member = self.members.get(&key).ok_or_else(missing)?;
        Ok(self.files.open(member)?.reader)
    }
}
