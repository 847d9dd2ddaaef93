//! What can be wrong with the layers of an image.

use std::io;

use thiserror::Error;

use super::TarError;
use crate::image::Digest;
use crate::report::{Exit, Explain};

/// Why a stack of layers makes no filesystem.
#[derive(Debug, Error)]
pub enum LayerError {
    /// The bytes do not come.
    #[error("layer {layer} cannot be read: {source}")]
    Read {
        /// The layer.
        layer: String,
        /// What the system, or where the bytes come from, says.
        source: io::Error,
    },
    /// They come, and are not what a compressor wrote.
    #[error("layer {layer} cannot be unpacked: {source}")]
    Compressed {
        /// The layer.
        layer: String,
        /// What the decompressor says.
        source: io::Error,
    },
    /// They are compressed in a way that no registry uses.
    #[error("layer {layer} is compressed with {method}, which images do not use")]
    Method {
        /// The layer.
        layer: String,
        /// The compressor.
        method: &'static str,
    },
    /// They are no tar, or a damaged one.
    #[error("layer {layer}, byte {position} of its tar: {source}")]
    Tar {
        /// The layer.
        layer: String,
        /// How far the uncompressed tar was read.
        position: u64,
        /// What is wrong.
        source: TarError,
    },
    /// An entry that no filesystem can have.
    #[error("layer {layer}: {path}: {fault}")]
    Entry {
        /// The layer.
        layer: String,
        /// The entry's name, with what a terminal would not show replaced.
        path: String,
        /// What is wrong.
        fault: EntryFault,
    },
    /// It unpacks to something else than the image says.
    #[error("layer {layer} unpacks to {found}, but the image says {expected}")]
    Digest {
        /// The layer.
        layer: String,
        /// What the image's configuration says.
        expected: Digest,
        /// What came.
        found: String,
    },
    /// The image is larger than what is taken.
    #[error("layer {layer}: the image has more than {limit} {what}")]
    Limit {
        /// The layer that goes beyond it.
        layer: String,
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
}

/// Why a filesystem cannot have an entry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EntryFault {
    /// No name.
    #[error("it has no name")]
    Empty,
    /// A zero byte.
    #[error("its name, or what it links to, has a zero byte")]
    Zero,
    /// `..`
    #[error("it leads out of its folder with \"..\"")]
    Parent,
    /// A part that no filesystem of Linux can store.
    #[error("a part of its name is longer than 255 bytes")]
    LongPart,
    /// Longer than the kernel takes.
    #[error("its name, or what it links to, is longer than 4095 bytes, or leads more than 1024 folders deep")]
    LongName,
    /// `.wh.` alone, or before `.` and `..`.
    #[error("it deletes nothing that can be named")]
    Whiteout,
    /// A folder with a name that only deletions have (image-spec, layer.md, "Whiteouts").
    #[error("it is in a folder with a name that begins with \".wh.\", which no image can have")]
    Marker,
    /// The root as something else.
    #[error("the root is no folder")]
    Root,
    /// A symbolic link to nothing at all.
    #[error("it is a symbolic link without a target")]
    NoTarget,
    /// Symbolic links that lead to each other.
    #[error("too many symbolic links on the way to it")]
    Loop,
    /// The target of a hard link is not there, or not yet.
    #[error("it is a hard link to {target}, which is not there")]
    Missing {
        /// The target as it stands in the tar.
        target: String,
    },
    /// The target of a hard link is a folder.
    #[error("it is a hard link to {target}, which is a folder")]
    Folder {
        /// The target as it stands in the tar.
        target: String,
    },
}

impl Explain for LayerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { source, .. } => source.code(),
            Self::Compressed { .. } | Self::Tar { .. } => "layer_damaged",
            Self::Method { .. } => "layer_compression_unknown",
            Self::Entry { .. } => "layer_entry_invalid",
            Self::Digest { .. } => "layer_digest_mismatch",
            Self::Limit { .. } => "image_too_large",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } => source.hint(),
            Self::Digest { .. } => Some("the image was damaged on its way or is wrong at its source".into()),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Read { source, .. } => source.exit(),
            _ => Exit::Invalid,
        }
    }
}

/// What stopped [`apply`](super::apply()): a layer, where layers come from, or where contents go.
#[derive(Debug, Error)]
pub enum ApplyError<S, C> {
    /// A layer.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// Where layers come from gave none.
    #[error(transparent)]
    Source(S),
    /// What takes the contents of files refused some.
    #[error(transparent)]
    Contents(C),
}

impl<S: Explain + 'static, C: Explain + 'static> Explain for ApplyError<S, C> {
    fn code(&self) -> &'static str {
        match self {
            Self::Layer(error) => error.code(),
            Self::Source(error) => error.code(),
            Self::Contents(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Layer(error) => error.hint(),
            Self::Source(error) => error.hint(),
            Self::Contents(error) => error.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Layer(error) => error.exit(),
            Self::Source(error) => error.exit(),
            Self::Contents(error) => error.exit(),
        }
    }
}

/// A name as a terminal may see it.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
