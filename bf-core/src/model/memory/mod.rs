//! What a model needs of a GPU's memory: its weights, and the keys and values of the tokens it has in mind.
//!
//! Only what is known: of an architecture that is not in the table the cache is [`Unknown`], with the reason, and so is the sum.
//!
//! | attention | bytes of one token in one layer | source |
//! | --- | --- | --- |
//! | every head its own keys (MHA), groups (GQA) | 2 * KV heads * head dimension * [`VALUE_BYTES`] | arXiv 2305.13245 |
//! | latent (MLA) | (`kv_lora_rank` + `qk_rope_head_dim`) * [`VALUE_BYTES`] | arXiv 2405.04434, 2.1 |
//! | sliding window, chunks | as GQA, for at most that many tokens of a sequence | arXiv 2310.06825 |
//! | linear, state space (Mamba), convolution | nothing | arXiv 2312.00752 |
//! | of a decoder to its encoder | as MHA, for all positions of the encoder, whatever the context | arXiv 2212.04356 |
//!
//! The last but one keep a state of a fixed size, some megabytes a sequence, which is not counted. An engine
//! keeps a batch's tokens more than a window, which is not counted either: both are within the overhead.

mod cache;
mod families;
mod from_config;
mod from_gguf;
#[cfg(test)]
mod tests;

use serde::ser::{Serialize, SerializeStruct, Serializer};

pub use self::cache::{KvCache, Layers};
pub(super) use self::from_config::of_config;
pub(super) use self::from_gguf::of_gguf;

/// Bytes of a number in the cache: vLLM and llama.cpp keep 16 bits unless told otherwise, whatever the weights have.
pub const VALUE_BYTES: u64 = 2;

/// What an engine takes beside weights and cache whatever the model, in bytes: the driver's context, programs, buffers.
pub const FIXED_OVERHEAD: u64 = 1_000_000_000;

/// One part of so many stays free for activations: vLLM uses nine tenths of a GPU unless told otherwise.
pub const FREE_PART: u64 = 10;

/// Why something is not known, in words without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[error("{0}")]
pub struct Unknown(pub String);

impl Unknown {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// What is known of a model's needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The weights as they are stored, in bytes. Engines load 32 bit numbers as 16 bit ones, and then need half of it.
    pub weights_bytes: Option<u64>,
    /// The keys and values of tokens.
    pub kv_cache: Result<KvCache, Unknown>,
}

/// What a model needs for so many tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct GpuMemory {
    /// Tokens of each sequence.
    pub context: u64,
    /// Sequences at once.
    pub sequences: u64,
    /// The weights, in bytes.
    pub weights_bytes: u64,
    /// Keys and values of all tokens, in bytes.
    pub kv_cache_bytes: u64,
    /// The rest, in bytes: [`FIXED_OVERHEAD`], and what must stay free by [`FREE_PART`]. An estimate.
    pub overhead_bytes: u64,
    /// The sum, in bytes, of all GPUs together.
    pub total_bytes: u64,
}

impl Memory {
    /// What is needed for `sequences` of `context` tokens each.
    ///
    /// # Errors
    /// What is not known.
    pub fn gpu_memory(&self, context: u64, sequences: u64) -> Result<GpuMemory, Unknown> {
        let huge = || Unknown::new("the sum is impossibly large");
        let weights_bytes =
            self.weights_bytes.ok_or_else(|| Unknown::new("the size of the weights is not known"))?;
        let cache = self.kv_cache.as_ref().map_err(Clone::clone)?;
        let kv_cache_bytes =
            cache.bytes(context).and_then(|bytes| bytes.checked_mul(sequences)).ok_or_else(huge)?;
        let used = weights_bytes.checked_add(kv_cache_bytes).ok_or_else(huge)?;
        let overhead_bytes = (used / (FREE_PART - 1)).checked_add(FIXED_OVERHEAD).ok_or_else(huge)?;
        let total_bytes = used.checked_add(overhead_bytes).ok_or_else(huge)?;
        Ok(GpuMemory { context, sequences, weights_bytes, kv_cache_bytes, overhead_bytes, total_bytes })
    }
}

impl Serialize for Memory {
    /// What does not depend on a context: null where it is not known.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut memory = serializer.serialize_struct("Memory", 2)?;
        memory.serialize_field("weights_bytes", &self.weights_bytes)?;
        let per_token = self.kv_cache.as_ref().ok().map(KvCache::bytes_per_token);
        memory.serialize_field("kv_cache_bytes_per_token", &per_token)?;
        memory.end()
    }
}

impl Default for Memory {
    /// Nothing is known, as nobody looked.
    fn default() -> Self {
        Self { weights_bytes: None, kv_cache: Err(Unknown::new("the model's files were not read")) }
    }
}
