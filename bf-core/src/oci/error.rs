//! What can be wrong with the documents that describe an image.

use thiserror::Error;

use super::tar::TarError;
use crate::image::Digest;
use crate::report::{Exit, Explain};

/// Why what was found is no image that can be used. `name` is the image as it was asked for.
#[derive(Debug, Error)]
pub enum OciError {
    /// A document is larger than any real one.
    #[error("the {what} of {name} has more than {limit} bytes")]
    TooLarge {
        /// The image.
        name: String,
        /// `manifest` or `configuration`.
        what: &'static str,
        /// Bytes that it may have.
        limit: u64,
    },
    /// A document is not what it should be.
    #[error("the {what} of {name} cannot be read: {reason}")]
    Malformed {
        /// The image.
        name: String,
        /// `manifest` or `configuration`.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The manifest of clients before 2016.
    #[error("{name} has a manifest of Docker's schema 1, which is no longer read")]
    Schema1 {
        /// The image.
        name: String,
    },
    /// Something else than an image.
    #[error("{name} is not a container image but {:?}", short(media_type))]
    NotAnImage {
        /// What was asked for.
        name: String,
        /// What it says that it is.
        media_type: String,
    },
    /// An image of nothing.
    #[error("{name} has no layers")]
    NoLayers {
        /// The image.
        name: String,
    },
    /// A layer for which one would need a key.
    #[error("layer {digest} of {name} is encrypted")]
    Encrypted {
        /// The image.
        name: String,
        /// The layer.
        digest: Digest,
    },
    /// A layer that is no archive that we know.
    #[error("layer {digest} of {name} is {:?}, which is not known", short(media_type))]
    UnknownLayer {
        /// The image.
        name: String,
        /// The layer.
        digest: Digest,
        /// What it says that it is.
        media_type: String,
    },
    /// The two documents do not speak of the same image.
    #[error("the manifest of {name} has {layers} layers, its configuration {diff_ids}")]
    LayerCount {
        /// The image.
        name: String,
        /// Layers of the manifest.
        layers: usize,
        /// `rootfs.diff_ids` of the configuration.
        diff_ids: usize,
    },
    /// Nothing for this machine.
    #[error("{name} is not there for {wanted}, only for {found}")]
    NoPlatform {
        /// The image.
        name: String,
        /// What was asked for: `linux/amd64`.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// Content is not what its name says.
    #[error("the {what} of {name} is damaged: its digest is {found}, it should be {expected}")]
    WrongDigest {
        /// The image.
        name: String,
        /// `manifest`, `configuration` or `layer`.
        what: &'static str,
        /// What was announced.
        expected: Digest,
        /// 64 hex digits of what came.
        found: String,
    },
    /// Content has another length than was announced.
    #[error("the {what} of {name} is damaged: it has {found} bytes, it should have {expected}")]
    WrongSize {
        /// The image.
        name: String,
        /// `manifest`, `configuration` or `layer`.
        what: &'static str,
        /// Bytes announced.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// There are several and it is not said which one.
    #[error("{place} has several images: {found}")]
    Several {
        /// The archive or folder.
        place: String,
        /// Their names.
        found: String,
    },
    /// The image that was named is not there.
    #[error("{place} has no image {:?}, only {found}", short(wanted))]
    NoSuchImage {
        /// The archive or folder.
        place: String,
        /// The name asked for.
        wanted: String,
        /// The names that there are.
        found: String,
    },
    /// A file or folder that has no image.
    #[error("{place} has no image: {reason}")]
    NoImage {
        /// The archive or folder.
        place: String,
        /// What is missing.
        reason: String,
    },
    /// A file of the image is missing.
    #[error("{place} is incomplete: {member} is not in it")]
    Missing {
        /// The archive or folder.
        place: String,
        /// What is missing.
        member: String,
    },
    /// The archive cannot be read.
    #[error("{place} cannot be read: {source}")]
    Tar {
        /// The archive.
        place: String,
        /// Why.
        source: TarError,
    },
    /// The file or folder cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Explain for OciError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "manifest_too_large",
            Self::Malformed { .. } | Self::LayerCount { .. } => "invalid_manifest",
            Self::Schema1 { .. } => "manifest_schema1",
            Self::NotAnImage { .. } => "not_an_image",
            Self::NoLayers { .. } => "image_without_layers",
            Self::Encrypted { .. } => "layer_encrypted",
            Self::UnknownLayer { .. } => "layer_unknown",
            Self::NoPlatform { .. } => "platform_missing",
            Self::WrongDigest { .. } | Self::WrongSize { .. } => "content_damaged",
            Self::Several { .. } => "image_ambiguous",
            Self::NoSuchImage { .. } | Self::NoImage { .. } => "image_not_found",
            Self::Missing { .. } => "archive_incomplete",
            Self::Tar { source: TarError::Io(error), .. } | Self::Io(error) => error.code(),
            Self::Tar { .. } => "archive_invalid",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Schema1 { .. } => Some("push it again with a client of this decade".into()),
            Self::NotAnImage { .. } => {
                Some("name the image and not what belongs to it (a chart, a signature)".into())
            }
            Self::Several { found, .. } => Some(format!("say which one with --image NAME: {found}")),
            Self::NoSuchImage { found, .. } => Some(format!("name one of these with --image NAME: {found}")),
            Self::WrongDigest { .. } | Self::WrongSize { .. } => {
                Some("get it again from where it was made".into())
            }
            Self::Tar { source: TarError::Compressed { program }, .. } => {
                Some(format!("unpack it first: `{program} -d`"))
            }
            Self::Tar { source: TarError::Io(error), .. } | Self::Io(error) => error.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoPlatform { .. } | Self::NoSuchImage { .. } => Exit::NotFound,
            Self::Several { .. } => Exit::Usage,
            Self::Tar { source: TarError::Io(error), .. } | Self::Io(error) => error.exit(),
            _ => Exit::Invalid,
        }
    }
}

/// A text of the other side's in one short piece.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}
