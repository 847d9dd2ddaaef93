//! A Hub of models in this process, on two ports of this machine: what it lists and serves is what the real one does, also when it
//! goes wrong. Its tests ask it with a plain client; `tests/e2e/hub.rs` has the unmodified Python client download from it.

mod api;
mod cdn;
mod content;
mod fault;
mod python;
mod repo;
mod resolve;
mod rights;
mod seen;
mod send;
mod server;
mod sha1;
#[cfg(test)]
mod tests;
mod wire;

pub use content::Content;
pub use fault::{Fault, Place, Rule};
pub use python::{Python, Series};
pub use repo::Repo;
pub use seen::Seen;
pub use server::Hub;
pub use sha1::git_blob;
pub use wire::Reply;
