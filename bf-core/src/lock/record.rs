//! What is written in a claim.

use std::io;

use serde::{Deserialize, Serialize};

use super::Owner;
use crate::digest::hex;

/// The length of every claim. A client that has cached the length of a file reads no further.
pub(super) const SIZE: usize = 1024;

/// The content of a claim: one line of JSON, filled up with blanks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// 1.
    pub(super) schema: u32,
    /// The number in its name.
    pub(super) generation: u64,
    /// Random: no other claim has it.
    pub(super) token: String,
    /// Who made it.
    pub(super) owner: Owner,
    /// Counted up while the owner lives.
    pub(super) beat: u64,
    /// Whether the owner is done.
    pub(super) released: bool,
}

impl Record {
    /// A new claim.
    pub(super) fn new(generation: u64, owner: Owner) -> io::Result<Self> {
        Ok(Self { schema: 1, generation, token: random()?, owner, beat: 0, released: false })
    }

    /// As it is written.
    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        if bytes.len() >= SIZE {
            return Err(io::Error::other("the names of this host and user are too long for a lock"));
        }
        bytes.resize(SIZE - 1, b' ');
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// As it was read; `None` for what is no claim, or was cut off.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// 32 hex digits that nobody else has.
pub(super) fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex(&bytes))
}
