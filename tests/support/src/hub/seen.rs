//! What the hub remembers of each request.

use std::time::Instant;

use super::fault::Place;

/// One request, and what came of it. It is noted before its answer begins.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it had arrived.
    pub at: Instant,
    /// Where it arrived.
    pub place: Place,
    /// As `GET`.
    pub method: String,
    /// Path and query, as they were sent.
    pub target: String,
    /// The file of a repository that it is about.
    pub file: Option<String>,
    /// The header `Range`.
    pub range: Option<String>,
    /// Whether the header `Authorization` came.
    pub token: bool,
    /// The header `User-Agent`.
    pub agent: String,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the body that were handed to the system to be sent, so far. Of an answer that the client broke off, that is more than
    /// it took by what lay in the buffers of the two sockets: some megabytes; with a rate, what it had not come to read.
    pub bytes: u64,
}
