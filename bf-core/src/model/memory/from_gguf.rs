//! Keys and values of a model that the header of a GGUF file describes.
//!
//! Source: llama.cpp's `llama-hparams` and `llama-model`: a layer keeps `head_count_kv` times (`key_length` + `value_length`) numbers of
//! each token, both by default a head's part of `embedding_length`; layers with no head that keeps keys have a state.

use super::Unknown;
use super::cache::{KvCache, MAX_FACTOR, sound_layers, token_bytes};
use crate::model::gguf::Shape;

/// How llama.cpp has an architecture's layers attend.
enum Kind {
    /// To all tokens. Also where the model itself has a window that llama.cpp does not use (Phi-3, Mistral as `llama`).
    Full,
    /// Of so many layers the last one to all tokens, the others within the window.
    EveryNth(u64),
    /// Of so many layers the last one, the others with a state.
    Linear(u64),
    /// None.
    State,
}

fn kind(architecture: &str) -> Option<Kind> {
    Some(match architecture {
        "llama" | "qwen2" | "qwen2moe" | "qwen2vl" | "qwen3" | "qwen3moe" | "gemma" | "phi2" | "phi3"
        | "starcoder2" | "stablelm" | "internlm2" | "olmo" | "olmo2" | "olmoe" | "granite" | "granitemoe"
        | "command-r" | "gptneox" | "glm4" | "smollm3" | "jamba" | "granitehybrid" | "lfm2"
        | "nemotron_h" => Kind::Full,
        "gemma2" | "gpt-oss" => Kind::EveryNth(2),
        "gemma3" => Kind::EveryNth(6),
        "cohere2" => Kind::EveryNth(4),
        "qwen3next" => Kind::Linear(4),
        "mamba" | "mamba2" => Kind::State,
        _ => return None,
    })
}

/// The cache of a model of `architecture` whose header has these numbers.
pub(in super::super) fn of_gguf(architecture: Option<&str>, shape: &Shape) -> Result<KvCache, Unknown> {
    let name = architecture.ok_or_else(|| Unknown::new("the header does not say the architecture"))?;
    let kind = kind(name)
        .ok_or_else(|| Unknown::new(format!("the attention of the architecture `{name}` is not known")))?;
    let layers = sound_layers(need(shape, "block_count")?)?;
    if let Kind::State = kind {
        return Ok(KvCache { state_layers: layers, ..KvCache::default() });
    }
    let heads = shape.get("attention.head_count");
    let part = |key: &'static str| {
        if let Some(dim) = shape.one(key) {
            return Ok(dim);
        }
        // Where layers differ, the ones without attention have no heads.
        let heads = heads.iter().copied().find(|heads| *heads > 0);
        let heads = heads.ok_or_else(|| Unknown::new(format!("the header does not say `{key}`")))?;
        Ok(need(shape, "embedding_length")? / heads)
    };
    let dims = part("attention.key_length")?.checked_add(part("attention.value_length")?);
    let dims = dims.filter(|dims| *dims > 0).ok_or_else(|| Unknown::new("its heads are impossibly large"))?;
    let kv_heads =
        Some(shape.get("attention.head_count_kv")).filter(|kv_heads| !kv_heads.is_empty()).unwrap_or(heads);
    let window = shape.one("attention.sliding_window").filter(|window| *window > 0);
    let mut cache = KvCache::default();
    for at in 0..layers {
        let kv_heads = match kv_heads {
            [all] => *all,
            each if each.len() as u64 == layers => {
                usize::try_from(at).ok().and_then(|at| each.get(at)).copied().unwrap_or_default()
            }
            _ => return Err(Unknown::new("the header does not say `attention.head_count_kv` of all layers")),
        };
        let token = token_bytes(kv_heads, dims)?;
        match kind {
            Kind::EveryNth(interval) if !(at + 1).is_multiple_of(interval) => {
                let window = window
                    .ok_or_else(|| Unknown::new("the header does not say `attention.sliding_window`"))?;
                cache.add(token, Some(window));
            }
            Kind::Linear(usual)
                if !(at + 1).is_multiple_of(
                    shape.one("full_attention_interval").filter(|it| *it > 0).unwrap_or(usual),
                ) =>
            {
                cache.add(0, None);
            }
            _ => cache.add(token, None),
        }
    }
    Ok(cache)
}

fn need(shape: &Shape, key: &'static str) -> Result<u64, Unknown> {
    let number = shape.one(key).filter(|number| (1..=MAX_FACTOR).contains(number));
    number.ok_or_else(|| Unknown::new(format!("the header does not say `{key}`")))
}
