//! Which families of models we know the attention of, and what their configurations leave unsaid.
//!
//! Source: the configuration classes of the transformers library (`src/transformers/models/*/configuration_*.py`), whose defaults hold for
//! every key that a published `config.json` leaves out. A family belongs here only when all its keys are known.

/// How the layers of a family attend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To all tokens.
    Full,
    /// Within `sliding_window`, all layers, when it is set.
    Window,
    /// Within `sliding_window` from the layer `max_window_layers` on, when `use_sliding_window` says so.
    UpperWindow,
    /// Of so many layers the last one to all tokens, the others within `sliding_window`; `sliding_window_pattern` may say how many.
    EveryNth(u64),
    /// Of so many layers the last one to all tokens, the others within chunks of `attention_chunk_size`.
    Chunks(u64),
    /// Of so many layers the last one to all tokens, the others with a state; `full_attention_interval` may say how many.
    Linear(u64),
    /// One of `attn_layer_period` layers, at `attn_layer_offset`; the others with a state.
    Period,
    /// As `layer_types` or `layers_block_type` says, and in no other way.
    Listed,
    /// As `hybrid_override_pattern` says: one letter a layer, `*` for attention.
    Letters,
    /// None: every layer with a state.
    State,
    /// Latent.
    Latent,
    /// A decoder with an encoder.
    EncoderDecoder,
}

/// How many heads keep keys when `num_key_value_heads` does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KvHeads {
    /// All.
    All,
    /// So many.
    Are(u64),
    /// It must say.
    Said,
}

/// How large a head is when `head_dim` does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadDim {
    /// A head's part of `hidden_size`, this many times.
    Part(u64),
    /// So large.
    Is(u64),
    /// It must say.
    Said,
}

/// What is known of a family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub(super) kind: Kind,
    pub(super) kv_heads: KvHeads,
    pub(super) head_dim: HeadDim,
    /// How many heads there are when `num_attention_heads` does not say.
    pub(super) heads: Option<u64>,
}

const fn family(kind: Kind, kv_heads: KvHeads, head_dim: HeadDim) -> Family {
    Family { kind, kv_heads, head_dim, heads: None }
}

/// The family of that `model_type`.
pub(super) fn of(model_type: &str) -> Option<Family> {
    use HeadDim::{Is, Part};
    use KvHeads::{All, Are};
    Some(match model_type {
        "llama" | "granite" | "granitemoe" | "olmo" | "olmo2" | "olmoe" | "phi" | "cohere" | "internlm2" => {
            family(Kind::Full, All, Part(1))
        }
        "stablelm" => family(Kind::Full, KvHeads::Said, Part(1)),
        "gpt_neox" | "opt" => family(Kind::Full, All, Part(1)),
        "glm" | "glm4" | "glm4_moe" => family(Kind::Full, KvHeads::Said, HeadDim::Said),
        "gemma" => family(Kind::Full, KvHeads::Said, Is(256)),
        "mistral" | "mixtral" | "starcoder2" => family(Kind::Window, KvHeads::Said, Part(1)),
        "phi3" => family(Kind::Window, All, Part(1)),
        "qwen2" | "qwen2_moe" | "qwen2_vl" | "qwen2_5_vl" | "qwen2_5_vl_text" => {
            family(Kind::UpperWindow, KvHeads::Said, Part(1))
        }
        "qwen3" => family(Kind::UpperWindow, KvHeads::Said, Is(128)),
        "qwen3_moe" => family(Kind::UpperWindow, KvHeads::Said, HeadDim::Said),
        "gemma2" => family(Kind::EveryNth(2), KvHeads::Said, Is(256)),
        "gemma3_text" => Family { heads: Some(8), ..family(Kind::EveryNth(6), Are(4), Is(256)) },
        "cohere2" => family(Kind::EveryNth(4), All, Part(1)),
        "gpt_oss" => family(Kind::EveryNth(2), KvHeads::Said, Is(64)),
        "llama4_text" => family(Kind::Chunks(4), KvHeads::Said, Is(128)),
        "qwen3_next" => family(Kind::Linear(4), KvHeads::Said, Is(256)),
        "jamba" => family(Kind::Period, KvHeads::Said, Part(1)),
        "granitemoehybrid" | "lfm2" => family(Kind::Listed, KvHeads::Said, Part(1)),
        "zamba2" => family(Kind::Listed, All, Part(2)),
        "nemotron_h" => family(Kind::Letters, KvHeads::Said, HeadDim::Said),
        "mamba" | "mamba2" | "falcon_mamba" => family(Kind::State, All, Part(1)),
        "deepseek_v2" | "deepseek_v3" | "kimi_k2" => family(Kind::Latent, All, Part(1)),
        "whisper" => family(Kind::EncoderDecoder, All, Part(1)),
        _ => return None,
    })
}
