//! What OCI images are made of: descriptors, manifests, indexes, configurations; and images in folders and archives.
//!
//! The formats are those of the OCI image specification 1.1 and of Docker's image manifest version 2, schema 2. Everything is
//! read as if an enemy had written it: sizes are limited before anything is read, and digests are compared before anything is
//! believed. Where an image comes from is a [`Source`]; a registry is one of `crate::registry`.

mod archive;
mod config;
mod descriptor;
mod docker;
mod error;
mod files;
mod image;
mod layout;
mod local;
mod manifest;
mod platform;
mod tar;
#[cfg(test)]
mod tests;
mod verified;

pub use config::{ContainerConfig, ImageConfig, RootFs};
pub use descriptor::{Compression, Descriptor, LayerType};
pub use error::OciError;
pub use image::{Blobs, Image, Layer, Source};
pub use local::LocalSource;
pub use manifest::{Document, Index, Manifest, media};
pub use platform::Platform;
pub use tar::TarError;
pub use verified::Verified;

/// Bytes that a manifest or an index may have: what registries accept.
pub const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// Bytes that an image's configuration may have.
pub const MAX_CONFIG: u64 = 8 * 1024 * 1024;
