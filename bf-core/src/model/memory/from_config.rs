//! Keys and values of a model that a `config.json` of the transformers library describes.

use serde_json::Value;

use super::cache::{KvCache, MAX_FACTOR, sound_layers, token_bytes};
use super::families::{Family, HeadDim, Kind, KvHeads, of};
use super::{Unknown, VALUE_BYTES};

/// The cache of the model that `json` describes.
pub(in super::super) fn of_config(json: &Value) -> Result<KvCache, Unknown> {
    // Models with eyes or ears keep the language model's numbers one level down.
    let text = json.get("text_config").filter(|text| text.is_object()).unwrap_or(json);
    let name = text.get("model_type").or_else(|| json.get("model_type")).and_then(Value::as_str);
    let name = name.ok_or_else(|| Unknown::new("config.json does not say the model's type"))?;
    let config = Numbers(text);
    let family = of(name).ok_or_else(|| {
        let plain =
            name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        let name = if plain { format!("`{name}`") } else { "of that name".into() };
        Unknown::new(format!("the attention of the architecture {name} is not known"))
    })?;
    match family.kind {
        Kind::EncoderDecoder => return whisper(&config),
        Kind::State => {
            let layers = config.layers()?;
            return Ok(KvCache { state_layers: layers, ..KvCache::default() });
        }
        Kind::Latent => {
            let dims = config.need("kv_lora_rank")? + config.need("qk_rope_head_dim")?;
            return Ok(uniform(config.layers()?, dims * VALUE_BYTES));
        }
        _ => {}
    }
    let token = config.token(family)?;
    let mut cache = KvCache::default();
    for layer in config.attention(family)? {
        match layer {
            Layer::Full => cache.add(token, None),
            Layer::Within(window) => cache.add(token, Some(window)),
            Layer::State => cache.state_layers += 1,
            Layer::Nothing => {}
        }
    }
    Ok(cache)
}

fn uniform(layers: u64, bytes: u64) -> KvCache {
    let mut cache = KvCache::default();
    (0..layers).for_each(|_| cache.add(bytes, None));
    cache
}

/// A decoder that attends to its own tokens, and to all positions of an encoder.
fn whisper(config: &Numbers<'_>) -> Result<KvCache, Unknown> {
    let layers = sound_layers(config.need("decoder_layers")?)?;
    let token = token_bytes(1, 2 * config.need("d_model")?)?;
    let positions = config.need("max_source_positions")?;
    let bytes_per_sequence = layers.checked_mul(token).and_then(|bytes| bytes.checked_mul(positions));
    let huge = || Unknown::new("config.json names impossibly large numbers");
    Ok(KvCache { bytes_per_sequence: bytes_per_sequence.ok_or_else(huge)?, ..uniform(layers, token) })
}

/// What a layer keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Full,
    Within(u64),
    State,
    Nothing,
}

/// A configuration, of which nothing is believed.
struct Numbers<'a>(&'a Value);

impl Numbers<'_> {
    /// The value of `key`, where it is set.
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// The number at `key`, where there is one.
    fn number(&self, key: &'static str) -> Result<Option<u64>, Unknown> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = value.as_u64().filter(|number| (1..=MAX_FACTOR).contains(number));
        number
            .map(Some)
            .ok_or_else(|| Unknown::new(format!("`{key}` in config.json is not a number that a model has")))
    }

    fn need(&self, key: &'static str) -> Result<u64, Unknown> {
        self.number(key)?.ok_or_else(|| Unknown::new(format!("config.json does not say `{key}`")))
    }

    fn layers(&self) -> Result<u64, Unknown> {
        sound_layers(self.need("num_hidden_layers")?)
    }

    /// What one layer keeps of one token, in bytes.
    fn token(&self, family: Family) -> Result<u64, Unknown> {
        let heads = match (self.number("num_attention_heads")?, family.heads) {
            (Some(heads), _) | (None, Some(heads)) => heads,
            (None, None) => self.need("num_attention_heads")?,
        };
        let kv_heads = match (self.number("num_key_value_heads")?, family.kv_heads) {
            (Some(heads), _) | (None, KvHeads::Are(heads)) => heads,
            (None, KvHeads::All) => heads,
            (None, KvHeads::Said) => self.need("num_key_value_heads")?,
        };
        // Zamba2 and Nemotron-H have a name of their own for it.
        let said = self.number("head_dim")?.or(self.number("attention_head_dim")?);
        let head_dim = match (said, family.head_dim) {
            (Some(dim), _) | (None, HeadDim::Is(dim)) => dim,
            (None, HeadDim::Part(times)) => self.need("hidden_size")? * times / heads,
            (None, HeadDim::Said) => self.need("head_dim")?,
        };
        token_bytes(kv_heads, 2 * head_dim)
    }

    /// What each layer attends to: as the configuration lists them, else as the family has it.
    fn attention(&self, family: Family) -> Result<Vec<Layer>, Unknown> {
        if let Kind::Letters = family.kind {
            return self.letters();
        }
        let layers = self.layers()?;
        // `Window` and `UpperWindow` had no list at first, and the list of newer files says the same.
        let list =
            ["layer_types", "layers_block_type"].into_iter().find_map(|key| Some((key, self.get(key)?)));
        if let Some((key, list)) = list {
            let wrong = || Unknown::new(format!("`{key}` in config.json is not a list of all layers"));
            let list = list.as_array().filter(|list| list.len() as u64 == layers).ok_or_else(wrong)?;
            return list.iter().map(|word| self.listed(word.as_str())).collect();
        }
        let window = self.window("sliding_window")?;
        // Without a window the layers that would have one attend to all.
        let within = |window: Option<u64>| window.map_or(Layer::Full, Layer::Within);
        let need = |window: Option<u64>, key: &str| {
            window.ok_or_else(|| Unknown::new(format!("config.json does not say `{key}`"))).map(Layer::Within)
        };
        let last_of = |interval: u64, layer: Layer| {
            let of = move |at: u64| if (at + 1).is_multiple_of(interval) { Layer::Full } else { layer };
            (0..layers).map(of).collect()
        };
        Ok(match family.kind {
            Kind::Window => (0..layers).map(|_| within(window)).collect(),
            Kind::UpperWindow => {
                let used = self.get("use_sliding_window").and_then(Value::as_bool) == Some(true);
                let from = if used && window.is_some() { self.need("max_window_layers")? } else { layers };
                (0..layers).map(|at| if at >= from { within(window) } else { Layer::Full }).collect()
            }
            Kind::EveryNth(usual) => {
                let interval = self.number("sliding_window_pattern")?.unwrap_or(usual);
                last_of(interval, need(window, "sliding_window")?)
            }
            Kind::Chunks(usual) => {
                let chunk = need(self.window("attention_chunk_size")?, "attention_chunk_size")?;
                let rope =
                    self.get("no_rope_layers").and_then(Value::as_array).filter(|list| !list.is_empty());
                if rope.is_some_and(|list| list.len() as u64 != layers) {
                    return Err(Unknown::new("`no_rope_layers` in config.json is not a list of all layers"));
                }
                match rope {
                    // Despite its name 0 marks the layers without, which attend to all.
                    Some(list) => list
                        .iter()
                        .map(|it| if it.as_u64() == Some(0) { Layer::Full } else { chunk })
                        .collect(),
                    None => last_of(self.number("no_rope_layer_interval")?.unwrap_or(usual), chunk),
                }
            }
            Kind::Linear(usual) => {
                last_of(self.number("full_attention_interval")?.unwrap_or(usual), Layer::State)
            }
            Kind::Period => {
                let period = self.need("attn_layer_period")?;
                // It counts from 0.
                let offset = self.get("attn_layer_offset").and_then(Value::as_u64);
                let offset =
                    offset.ok_or_else(|| Unknown::new("config.json does not say `attn_layer_offset`"))?;
                (0..layers).map(|at| if at % period == offset { Layer::Full } else { Layer::State }).collect()
            }
            Kind::Listed => return Err(Unknown::new("config.json does not say `layer_types`")),
            Kind::Full | Kind::State | Kind::Latent | Kind::EncoderDecoder | Kind::Letters => {
                (0..layers).map(|_| Layer::Full).collect()
            }
        })
    }

    /// A layer by the words of `layer_types` and `layers_block_type`.
    fn listed(&self, word: Option<&str>) -> Result<Layer, Unknown> {
        let within = |key: &'static str| {
            let window =
                self.window(key)?.ok_or_else(|| Unknown::new(format!("config.json does not say `{key}`")))?;
            Ok(Layer::Within(window))
        };
        match word {
            // `hybrid` is Zamba's: attention and a state in one layer.
            Some("full_attention" | "attention" | "hybrid") => Ok(Layer::Full),
            Some("sliding_attention") => within("sliding_window"),
            Some("chunked_attention") => within("attention_chunk_size"),
            Some("linear_attention" | "mamba" | "mamba2" | "conv") => Ok(Layer::State),
            _ => Err(Unknown::new("config.json names a kind of layer that is not known")),
        }
    }

    /// The length of a window in tokens, where one is set.
    fn window(&self, key: &'static str) -> Result<Option<u64>, Unknown> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let tokens = value.as_u64().filter(|tokens| (1..=1 << 40).contains(tokens));
        tokens
            .map(Some)
            .ok_or_else(|| Unknown::new(format!("`{key}` in config.json is not a number of tokens")))
    }

    fn letters(&self) -> Result<Vec<Layer>, Unknown> {
        let wrong =
            || Unknown::new("config.json does not say `hybrid_override_pattern`, or with unknown letters");
        let letters = self.get("hybrid_override_pattern").and_then(Value::as_str).ok_or_else(wrong)?;
        sound_layers(letters.len() as u64)?;
        letters
            .bytes()
            .map(|letter| match letter {
                b'*' => Ok(Layer::Full),
                b'M' => Ok(Layer::State),
                b'-' | b'E' => Ok(Layer::Nothing),
                _ => Err(wrong()),
            })
            .collect()
    }
}
