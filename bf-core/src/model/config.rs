//! What `config.json` of the transformers library says of a model.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::memory::{KvCache, Unknown, of_config};

/// The longest `config.json` that is read, in bytes; those with many labels have some 100 kB.
const MAX_CONFIG: u64 = 4_000_000;

/// The longest text that is kept, in bytes.
const MAX_TEXT: usize = 128;

/// The facts that are kept; each is left out when it is not there or not of the usual type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The classes that can load the model: `LlamaForCausalLM`.
    pub architectures: Vec<String>,
    /// The family: `llama`, `whisper`.
    pub model_type: Option<String>,
    /// The type of most numbers, by safetensors' names: `BF16`.
    pub dtype: Option<String>,
    /// The longest context, in tokens.
    pub context_length: Option<u64>,
    /// How the weights are quantised, in the library's words: `awq`, `fp8`.
    pub quantisation: Option<String>,
    /// The keys and values of tokens.
    pub kv_cache: Result<KvCache, Unknown>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            architectures: vec![],
            model_type: None,
            dtype: None,
            context_length: None,
            quantisation: None,
            kv_cache: Err(Unknown::new("there is no config.json that can be read")),
        }
    }
}

/// Reads the file at `path`. One that cannot be read says nothing: it is the engine's to complain, with its own rules.
pub fn read(path: &Path) -> Option<Config> {
    let mut text = String::new();
    crate::bounded::open(path, crate::bounded::Links::Follow)
        .ok()?
        .take(MAX_CONFIG + 1)
        .read_to_string(&mut text)
        .ok()?;
    if text.len() as u64 > MAX_CONFIG { None } else { parse(&text) }
}

fn parse(text: &str) -> Option<Config> {
    // Python writes Infinity and NaN, which are no JSON (Mamba's `time_step_limit`).
    let json: Value = serde_json::from_str(text)
        .or_else(|_| {
            serde_json::from_str(
                &text.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null"),
            )
        })
        .ok()?;
    // Models with eyes or ears keep the language model's numbers one level down.
    let nested = |key: &str| json.get(key).or_else(|| json.get("text_config")?.get(key));
    let architectures =
        json.get("architectures").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Some(Config {
        architectures: architectures.iter().take(8).filter_map(plain).map(str::to_owned).collect(),
        model_type: json.get("model_type").and_then(plain).map(str::to_owned),
        dtype: nested("dtype").or_else(|| nested("torch_dtype")).and_then(plain).map(dtype_name),
        context_length: context_length(&json),
        quantisation: nested("quantization_config")
            .and_then(|it| it.get("quant_method"))
            .and_then(plain)
            .map(str::to_owned),
        kv_cache: of_config(&json),
    })
}

/// The longest context, in tokens, as vLLM takes it from the file: of a rotation that stretches positions, the stretched one.
fn context_length(json: &Value) -> Option<u64> {
    const KEYS: [&str; 5] =
        ["max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_target_positions"];
    let text = json.get("text_config").filter(|text| text.is_object()).unwrap_or(json);
    let tokens =
        KEYS.iter().find_map(|key| text.get(key).or_else(|| json.get(key)).and_then(Value::as_u64))?;
    let Some(scaling) = ["rope_scaling", "rope_parameters"].iter().find_map(|key| text.get(key)) else {
        return Some(tokens);
    };
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type")).and_then(Value::as_str);
    // Gemma 3 counts the stretched positions already.
    let is_gemma3 =
        text.get("model_type").and_then(Value::as_str).is_some_and(|name| name.starts_with("gemma3"));
    let from = match kind {
        Some("yarn") => {
            scaling.get("original_max_position_embeddings").and_then(Value::as_u64).unwrap_or(tokens)
        }
        Some("linear" | "dynamic") if !is_gemma3 => tokens,
        _ => return Some(tokens),
    };
    let factor =
        scaling.get("factor").and_then(Value::as_f64).filter(|factor| (1.0..=10_000.0).contains(factor));
    let Some(factor) = factor.filter(|_| from < 1 << 40) else { return Some(tokens) };
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let stretched = (from as f64 * factor) as u64;
    Some(stretched)
}

fn plain(value: &Value) -> Option<&str> {
    value
        .as_str()
        .filter(|text| !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control))
}

/// torch's name of a type in safetensors' words.
fn dtype_name(torch: &str) -> String {
    match torch.trim_start_matches("torch.") {
        "float64" => "F64".into(),
        "float32" => "F32".into(),
        "float16" => "F16".into(),
        "bfloat16" => "BF16".into(),
        "float8_e4m3fn" => "F8_E4M3".into(),
        "float8_e5m2" => "F8_E5M2".into(),
        other => other.to_uppercase(),
    }
}

impl Config {
    /// The task that follows from the architecture, in the Hub's words, where it does.
    pub fn task(&self) -> Option<&'static str> {
        let any = |test: fn(&str) -> bool| self.architectures.iter().any(|name| test(name));
        if self.model_type.as_deref() == Some("whisper") || any(|name| name.starts_with("Whisper")) {
            return Some("automatic-speech-recognition");
        }
        any(|name| name.ends_with("ForCausalLM") || name.ends_with("LMHeadModel"))
            .then_some("text-generation")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_facts_are_read() {
        let config = parse(
            r#"{"architectures":["LlamaForCausalLM"],"model_type":"llama","torch_dtype":"bfloat16","max_position_embeddings":8192}"#,
        );
        let config = config.unwrap();
        assert_eq!((config.dtype.as_deref(), config.context_length), (Some("BF16"), Some(8192)));
        assert_eq!(config.task(), Some("text-generation"));
        let whisper =
            parse(r#"{"architectures":["WhisperForConditionalGeneration"],"dtype":"float16"}"#).unwrap();
        assert_eq!(
            (whisper.task(), whisper.dtype.as_deref()),
            (Some("automatic-speech-recognition"), Some("F16"))
        );
        let eyes = parse(
            r#"{"architectures":["XForConditionalGeneration"],"text_config":{"max_position_embeddings":7}}"#,
        );
        let eyes = eyes.unwrap();
        assert_eq!((eyes.task(), eyes.context_length), (None, Some(7)));
    }

    #[test]
    fn a_context_is_the_stretched_one() {
        let of = |text: &str| parse(text).unwrap().context_length;
        // Llama-3.1, Qwen2.5 with what its card adds, DeepSeek-V3, gpt-oss, Gemma 3, Whisper, GPT-2.
        for (text, tokens) in [
            (
                r#"{"max_position_embeddings":131072,"rope_scaling":{"rope_type":"llama3","factor":8.0}}"#,
                131_072,
            ),
            (
                r#"{"max_position_embeddings":32768,"rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":32768}}"#,
                131_072,
            ),
            (
                r#"{"max_position_embeddings":163840,"rope_scaling":{"type":"yarn","factor":40,"original_max_position_embeddings":4096}}"#,
                163_840,
            ),
            (r#"{"max_position_embeddings":2048,"rope_scaling":{"type":"linear","factor":4.0}}"#, 8192),
            (
                r#"{"text_config":{"model_type":"gemma3_text","max_position_embeddings":131072,"rope_scaling":{"rope_type":"linear","factor":8.0}}}"#,
                131_072,
            ),
            (r#"{"max_position_embeddings":4096,"rope_scaling":{"type":"linear","factor":1e300}}"#, 4096),
            (r#"{"model_type":"whisper","max_target_positions":448}"#, 448),
            (r#"{"n_positions":1024,"rope_scaling":null}"#, 1024),
        ] {
            assert_eq!(of(text), Some(tokens), "{text}");
        }
        let text = r#"{"quantization_config":{"quant_method":"awq","bits":4}}"#;
        assert_eq!(parse(text).unwrap().quantisation.as_deref(), Some("awq"));
    }

    #[test]
    fn odd_configs_are_no_failure() {
        assert_eq!(
            parse(r#"{"time_step_limit":[0.0,Infinity],"model_type":"mamba2"}"#).unwrap().model_type.unwrap(),
            "mamba2"
        );
        let nothing =
            |config: Config| Config { kv_cache: Config::default().kv_cache, ..config } == Config::default();
        for text in ["", "[", "null", "[]", "7"] {
            assert!(parse(text).is_none_or(nothing), "{text}");
        }
        let odd =
            parse(r#"{"architectures":null,"model_type":7,"torch_dtype":{},"max_position_embeddings":-1}"#);
        assert!(nothing(odd.unwrap()));
        assert_eq!(parse(r#"{"model_type":"\u001b[2J"}"#).unwrap().model_type, None);
        assert_eq!(read(Path::new("/nonexistent/config.json")), None);
    }
}
