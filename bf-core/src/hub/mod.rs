//! The client of the Hugging Face Hub: what a model is at a commit, and its files, fetched fast and verified.
//!
//! The protocol is that of the Hub's own clients, over plain HTTP. Call it from plain threads, not from inside of an asynchronous
//! runtime: it waits.
//!
//! What is checked: the paths, sizes and hashes of a [`Listing`] before it is given away, and every fetched byte against them. The
//! listing is the word of who answered at the endpoint; all requests after it name its commit, so that what is pushed in between
//! changes nothing.
//!
//! Who gets the token: the endpoint's scheme, host and port. The servers that it sends us to for large files do not.

mod call;
mod claim;
mod client;
mod download;
mod endpoint;
mod error;
mod event;
mod fetch;
mod hash;
mod listing;
mod local;
mod options;
mod small;
mod spans;
#[cfg(test)]
mod tests;
mod token;

pub use client::Hub;
pub use endpoint::Endpoint;
pub use error::HubError;
pub use event::{Event, Progress, silent};
pub use fetch::Fetched;
pub use listing::{FileHash, Listing, RemoteFile};
pub use options::Options;

pub use crate::web::{Bandwidth, Cancel, Limits, Secret, WebError};
