//! What can be wrong with an image that somebody names or wants to run.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::sif::SifError;
use crate::report::{Exit, Explain};
use crate::site::TrustError;

/// Why an image cannot be named or used.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The text is no reference.
    #[error("{:?} is not a container image: {reason}", shown(text))]
    InvalidReference {
        /// What was given.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The text is no digest.
    #[error("{:?} is not a digest: it must be `sha256:` and 64 hex digits in lower case", shown(text))]
    InvalidDigest {
        /// What was given.
        text: String,
    },
    /// The file is no whole SIF.
    #[error("the image {} is damaged: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SifError,
    },
    /// site.lock says that it is outside of the cache.
    #[error("site.lock names {} for the image {name}, which is no place in the cache", path.display())]
    Outside {
        /// The image's name in site.lock.
        name: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// Others could have changed it.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// It cannot be looked at.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A text from somewhere, in one short piece and without what may be a name and password in front of an `@`.
fn shown(text: &str) -> String {
    let visible = match text.rsplit_once('@') {
        Some((_, behind)) if !behind.starts_with("sha256:") => format!("***@{behind}"),
        _ => text.to_owned(),
    };
    visible.chars().take(100).collect()
}

impl Explain for ImageError {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidReference { .. } => "invalid_image_ref",
            Self::InvalidDigest { .. } => "invalid_digest",
            Self::Damaged { source: SifError::Io(error), .. } | Self::Io(error) => error.code(),
            Self::Damaged { .. } => "image_damaged",
            Self::Outside { .. } => "invalid_lock",
            Self::Untrusted(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InvalidReference { .. } => Some("write it as ghcr.io/org/name:tag".into()),
            Self::Damaged { source: SifError::Io(error), .. } | Self::Io(error) => error.hint(),
            Self::Damaged { .. } => Some("ask the cache's administrator to run `bf-admin setup`".into()),
            Self::Untrusted(error) => error.hint(),
            Self::InvalidDigest { .. } | Self::Outside { .. } => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Damaged { source: SifError::Io(error), .. } | Self::Io(error) => error.exit(),
            Self::Untrusted(error) => error.exit(),
            _ => Exit::Invalid,
        }
    }
}
