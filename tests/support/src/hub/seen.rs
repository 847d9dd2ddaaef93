//! What the hub remembers of each request.

use super::fault::Place;

/// One request, and what came of it.
#[derive(Debug, Clone)]
pub struct Seen {
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
    /// Bytes of the body that were handed to the system to be sent.
    pub bytes: u64,
}
