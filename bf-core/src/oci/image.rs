//! An image as a converter sees it, wherever it comes from.

use std::io::Read;

use super::descriptor::LayerType;
use super::{Compression, Descriptor, ImageConfig, Manifest, OciError, Platform};
use crate::digest;
use crate::image::Digest;
use crate::report::Failure;

/// Where an image comes from.
pub trait Source: Send + Sync {
    /// The image for this machine: its documents, read and checked. Layers are touched when they are opened, not here.
    fn image(&self, platform: &Platform) -> Result<Image, Failure>;
}

/// Where the layers of one image are.
pub trait Blobs: Send + Sync {
    /// The bytes of a layer, as they are stored: compressed ones stay so.
    ///
    /// The reader may wait for bytes that are still on their way. It ends with an error where the content is not what its
    /// descriptor says: only who has read it to its end, without an error, may believe it.
    fn open(&self, layer: &Descriptor) -> Result<Box<dyn Read + Send>, Failure>;

    /// Ends, with an error, reads that wait for bytes which are still on their way: no more is wanted. Only [`mend`](Self::mend) is
    /// called after that.
    fn stop(&self) {}

    /// After a layer could not be used, and with none open any more: makes sure that what is stored is what the descriptors say.
    /// Whether something else may have been read before, so that it is worth to read all layers again.
    fn mend(&self, _layer: &Descriptor) -> Result<bool, Failure> {
        Ok(false)
    }
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Where its bytes are.
    pub descriptor: Descriptor,
    /// How they are compressed.
    pub compression: Compression,
    /// What they hash to when unpacked.
    pub diff_id: Digest,
}

/// An image: its documents, and its layers on demand.
pub struct Image {
    /// What its manifest hashes to; nothing for images that never had one (`docker save` of before 2024).
    pub manifest_digest: Option<Digest>,
    /// The manifest's bytes; empty where there was none.
    pub manifest_raw: Vec<u8>,
    /// Its manifest.
    pub manifest: Manifest,
    /// The configuration's bytes.
    pub config_raw: Vec<u8>,
    /// Its configuration.
    pub config: ImageConfig,
    layers: Vec<Layer>,
    blobs: Box<dyn Blobs>,
}

impl Image {
    /// Puts together what belongs together: checks the configuration's digest and that the documents agree.
    ///
    /// `manifest_raw` must have been checked already by who knows its digest.
    pub fn new(
        name: &str,
        platform: &Platform,
        manifest_raw: Vec<u8>,
        manifest: Manifest,
        config_raw: Vec<u8>,
        blobs: Box<dyn Blobs>,
    ) -> Result<Self, OciError> {
        check_bytes(&config_raw, &manifest.config, "configuration", name)?;
        let manifest_digest = (!manifest_raw.is_empty()).then(|| of(&manifest_raw, name)).transpose()?;
        manifest.check(name)?;
        let config = ImageConfig::parse(&config_raw, name)?;
        config.check(&manifest, platform, name)?;
        let mut layers = Vec::with_capacity(manifest.layers.len());
        for (descriptor, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            // `check` has refused the others.
            let Ok(LayerType { compression, .. }) = LayerType::of(&descriptor.media_type) else { continue };
            layers.push(Layer { descriptor: descriptor.clone(), compression, diff_id: diff_id.clone() });
        }
        Ok(Self { manifest_digest, manifest_raw, manifest, config_raw, config, layers, blobs })
    }

    /// Its layers, the lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Opens a layer, see [`Blobs::open`]. Begin with the top one: that is the order in which they are fetched.
    pub fn layer(&self, layer: &Layer) -> Result<Box<dyn Read + Send>, Failure> {
        self.blobs.open(&layer.descriptor)
    }

    /// Ends reads that wait, see [`Blobs::stop`].
    pub fn stop(&self) {
        self.blobs.stop();
    }

    /// Finds out whether it was what is stored of a layer that made it unusable, see [`Blobs::mend`].
    pub fn mend(&self, layer: &Layer) -> Result<bool, Failure> {
        self.blobs.mend(&layer.descriptor)
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("manifest_digest", &self.manifest_digest)
            .field("layers", &self.layers)
            .finish_non_exhaustive()
    }
}

/// The digest of some bytes.
pub(crate) fn of(bytes: &[u8], name: &str) -> Result<Digest, OciError> {
    let text = format!("sha256:{}", digest::of_bytes(bytes));
    text.parse().map_err(|_| OciError::Malformed { name: name.to_owned(), what: "digest", reason: text })
}

/// That some bytes are what a descriptor says.
pub(crate) fn check_bytes(
    bytes: &[u8],
    descriptor: &Descriptor,
    what: &'static str,
    name: &str,
) -> Result<(), OciError> {
    let (found, expected) = (bytes.len() as u64, descriptor.size);
    if found != expected {
        return Err(OciError::WrongSize { name: name.to_owned(), what, expected, found });
    }
    check_digest(bytes, &descriptor.digest, what, name)
}

/// That some bytes have this digest.
pub(crate) fn check_digest(
    bytes: &[u8],
    expected: &Digest,
    what: &'static str,
    name: &str,
) -> Result<(), OciError> {
    let found = digest::of_bytes(bytes);
    if found == expected.hex() {
        return Ok(());
    }
    Err(OciError::WrongDigest { name: name.to_owned(), what, expected: expected.clone(), found })
}
