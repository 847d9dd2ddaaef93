//! The client of container registries: manifests, and blobs that are fetched several at once and can be resumed.
//!
//! The protocol is that of the OCI distribution specification 1.1, with the token service of Docker's registries. Call it from
//! plain threads, not from inside of an asynchronous runtime: it waits.
//!
//! What is checked: every blob, and every manifest that was asked for by its digest, hashes to that digest, whoever sent it. A tag
//! is the word of who answered: of the registry, or of the mirror that was asked first.

mod auth;
mod base64;
mod blobs;
mod call;
mod challenge;
mod credentials;
mod download;
mod endpoint;
mod error;
mod event;
mod fetcher;
mod growing;
mod helper;
mod options;
mod repository;
mod source;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_trust;
mod token;

pub use blobs::BlobStore;
pub use credentials::Credentials;
pub use error::RegistryError;
pub use event::{Event, Progress, silent};
pub use fetcher::Fetcher;
pub use growing::BlobReader;
pub use options::Options;
pub use repository::{Fetched, Repository};
pub use source::RegistrySource;

pub use crate::web::{Bandwidth, Cancel, Limits, Secret};
