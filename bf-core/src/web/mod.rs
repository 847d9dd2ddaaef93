//! HTTP as our clients of registries and of the Hub speak it: connections, who is believed, redirects, and when to try again.
//!
//! Call it from plain threads, not from inside of an asynchronous runtime: it waits. What a client asks, and what an answer means,
//! is the client's; each has errors of its own, and says how a [`WebError`] becomes one of them.
//!
//! Who is trusted: https, with the certificate authorities of this machine; `SSL_CERT_FILE` (a file) and `SSL_CERT_DIR` (folders)
//! are read in their place if they are set. Authorities that a caller names come on top.

mod answer;
mod bandwidth;
mod cancel;
mod client;
mod connect;
mod error;
mod limits;
mod retry;
mod secret;
#[cfg(test)]
pub(crate) mod testing;

pub use bandwidth::Bandwidth;
pub use cancel::Cancel;
pub use error::WebError;
pub use limits::Limits;
pub use secret::Secret;

pub(crate) use answer::Answer;
pub(crate) use client::{Call, Http};
pub(crate) use connect::Setup;
pub(crate) use error::Fault;
pub(crate) use retry::{Fresh, Retry, bearer};
