//! An image of OCI becomes a SIF, in one pass: layers are unpacked and laid over each other while they still load, files are
//! compressed by several threads and written straight into the SIF. Nothing is unpacked to a disk.

mod contents;
mod facts;
mod pull;
mod recipe;
#[cfg(test)]
mod tests;
mod told;

pub use pull::{Found, Outline, create, find, import, outline, pull};
pub use recipe::{Recipe, hinted, processors};
pub use told::{Teller, Told};

use std::fs::File;
use std::num::NonZeroUsize;

use crate::image::{Digest, Reference};
use crate::layer::{self, ApplyError, Layer, Limits, Merged};
use crate::oci::{self, Image};
use crate::report::Failure;
use crate::sif::{SifWriter, apptainer};
use crate::squashfs::{self, Compression, Writer};

/// How a SIF is made.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// What the image is called in its SIF.
    pub reference: &'a Reference,
    /// What that stood for in its registry.
    pub source: Option<&'a Digest>,
    /// How the root filesystem is compressed.
    pub compression: Compression,
    /// Threads that compress.
    pub threads: NonZeroUsize,
    /// The version of the tool that makes it.
    pub tool: &'a str,
}

/// A SIF that was made.
#[derive(Debug)]
pub struct Converted {
    /// The manifest that it was made of; nothing for archives that have none.
    pub manifest: Option<Digest>,
    /// The file's length.
    pub bytes: u64,
    /// The SHA-256 of its root filesystem, 64 hex digits.
    pub partition_sha256: String,
    /// What became of the layers. Its tree is empty by now.
    pub merged: Merged,
}

/// How far it is, over all layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which layer from the top is read, from 1.
    pub layer: usize,
    /// Of how many.
    pub layers: usize,
    /// Bytes that were unpacked of it; 0 once, when it begins.
    pub bytes: u64,
}

/// Makes a SIF of `image` in `file`, which is empty and can be read as well. The same image and order give the same bytes.
///
/// If a layer cannot be used because of what was stored or came of it, and not because of what its image says, then it is read once
/// more, from its beginning; see [`Image::mend`].
///
/// Nothing is flushed, and until all was written and every layer compared with its digest the file has no SIF's header.
pub fn convert(
    image: &Image,
    file: &File,
    order: &Order<'_>,
    tell: &mut dyn FnMut(Progress),
) -> Result<Converted, Failure> {
    let mut unusable = None;
    match attempt(image, file, order, tell, &mut unusable) {
        Err(failure) => match unusable {
            Some(layer) if image.mend(layer)? => attempt(image, file, order, tell, &mut None),
            _ => Err(failure),
        },
        made => made,
    }
}

/// Makes it once. If that fails because of a layer, `unusable` is it.
fn attempt<'i>(
    image: &'i Image,
    file: &File,
    order: &Order<'_>,
    tell: &mut dyn FnMut(Progress),
    unusable: &mut Option<&'i oci::Layer>,
) -> Result<Converted, Failure> {
    let facts = facts::of(image, order)?;
    let created = u32::try_from(facts.created.max(0)).unwrap_or(u32::MAX);
    let sif = SifWriter::new(file, facts.clone())?;
    let options =
        squashfs::Options { compression: order.compression, threads: order.threads, mtime: created };
    let mut writer = Writer::new(file.try_clone()?, sif.partition_offset(), &options)?;
    let mut layers = Layers { image, opened: None };
    let count = image.layers().len();
    let mut begun = 0;
    let merged = layer::apply(&mut layers, &mut writer, &Limits::default(), &mut |progress| {
        let layer = count - progress.layer;
        // What is heard of a layer first may be its end. Read once more for its links, it begins for nobody.
        if begun != layer && !progress.again {
            begun = layer;
            tell(Progress { layer, layers: count, bytes: 0 });
        }
        if progress.bytes > 0 {
            tell(Progress { layer, layers: count, bytes: progress.bytes });
        }
    });
    let mut merged = merged.map_err(|error| match error {
        ApplyError::Source(failure) => failure,
        ApplyError::Contents(error) => error.into(),
        ApplyError::Layer(error) => {
            *unusable = layers.opened;
            error.into()
        }
    })?;
    apptainer::install(&mut merged.tree, &facts, &mut |bytes| {
        let mut file = writer.begin();
        file.write(bytes)?;
        file.finish()
    })?;
    let written = writer.finish(&merged.tree)?;
    let finished = sif.finish(written.bytes, None)?;
    Ok(Converted {
        manifest: image.manifest_digest.clone(),
        bytes: finished.bytes,
        partition_sha256: finished.partition_sha256,
        merged,
    })
}

/// The layers of an image, for who lays them over each other.
struct Layers<'i> {
    image: &'i Image,
    /// The last one: those before were read to their ends, and were right.
    opened: Option<&'i oci::Layer>,
}

impl layer::Source for Layers<'_> {
    type Error = Failure;

    fn count(&self) -> usize {
        self.image.layers().len()
    }

    fn open(&mut self, index: usize) -> Result<Layer<'_>, Failure> {
        let layer = self.image.layers().get(index).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::NotFound, format!("the image has no layer {index}"))
        })?;
        self.opened = Some(layer);
        let image = self.image;
        Ok(Layer {
            input: self.image.layer(layer)?,
            diff_id: layer.diff_id.clone(),
            name: layer.descriptor.digest.to_string(),
            stop: Box::new(|| image.stop()),
        })
    }
}
