//! The numbers of published models, as their `config.json` has them, and what their caches take, reckoned by hand.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::gguf;
use crate::model::testing::Gguf;

fn cache(config: &Value) -> KvCache {
    of_config(config).unwrap()
}

fn unknown(config: &Value) -> String {
    of_config(config).unwrap_err().to_string()
}

fn layers(layers: u64, bytes_per_token: u64, window: Option<u64>) -> Layers {
    Layers { layers, bytes_per_token, window }
}

/// Meta's Llama-3.1-8B.
fn llama() -> Value {
    json!({"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
        "num_key_value_heads": 8, "max_position_embeddings": 131_072})
}

#[test]
fn groups_of_heads_share_their_keys() {
    // Llama-3.1-8B: 32 layers * 2 * 8 heads * 4096/32 numbers * 2 bytes = 131072.
    assert_eq!(cache(&llama()).layers, [layers(32, 4096, None)]);
    assert_eq!(cache(&llama()).bytes_per_token(), 131_072);
    // Qwen2.5-7B: 28 * 2 * 4 * 3584/28 * 2 = 57344; its window is not in use.
    let qwen = json!({"model_type": "qwen2", "num_hidden_layers": 28, "hidden_size": 3584, "num_attention_heads": 28,
        "num_key_value_heads": 4, "sliding_window": 131_072, "use_sliding_window": false, "max_window_layers": 28});
    assert_eq!(cache(&qwen).layers, [layers(28, 2048, None)]);
    // Mixtral-8x7B: 32 * 2 * 8 * 4096/32 * 2 = 131072, as experts keep no keys.
    let mixtral = json!({"model_type": "mixtral", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
        "num_key_value_heads": 8, "sliding_window": null});
    assert_eq!(cache(&mixtral).layers, [layers(32, 4096, None)]);
    // Pythia-6.9B, of which every head keeps its own: 32 * 2 * 32 * 4096/32 * 2 = 524288.
    let pythia = json!({"model_type": "gpt_neox", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32});
    assert_eq!(cache(&pythia).bytes_per_token(), 524_288);
}

#[test]
fn windows_bound_what_is_kept() {
    // Mistral-7B-v0.1: 32 layers of 2 * 8 * 4096/32 * 2 = 4096, for 4096 tokens at most.
    let mistral = json!({"model_type": "mistral", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
        "num_key_value_heads": 8, "sliding_window": 4096, "max_position_embeddings": 32_768});
    assert_eq!(cache(&mistral).layers, [layers(32, 4096, Some(4096))]);
    assert_eq!(cache(&mistral).bytes(100), Some(13_107_200));
    assert_eq!(cache(&mistral).bytes(32_768), Some(536_870_912));
    // Phi-3-mini-4k: 32 layers of 2 * 32 * 3072/32 * 2 = 12288.
    let phi = json!({"model_type": "phi3", "num_hidden_layers": 32, "hidden_size": 3072, "num_attention_heads": 32,
        "num_key_value_heads": 32, "sliding_window": 2047});
    assert_eq!(cache(&phi).layers, [layers(32, 12_288, Some(2047))]);
    // Gemma-2-9b: 42 layers of 2 * 8 * 256 * 2 = 8192, the second of two attends to all.
    let gemma = json!({"model_type": "gemma2", "num_hidden_layers": 42, "hidden_size": 3584, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 256, "sliding_window": 4096});
    assert_eq!(cache(&gemma).layers, [layers(21, 8192, Some(4096)), layers(21, 8192, None)]);
    // gpt-oss-20b: 24 layers of 2 * 8 * 64 * 2 = 2048, listed; 2880/64 would be the wrong size of a head.
    let types: Vec<_> = (0..12).flat_map(|_| ["sliding_attention", "full_attention"]).collect();
    let gpt = json!({"model_type": "gpt_oss", "num_hidden_layers": 24, "hidden_size": 2880, "num_attention_heads": 64,
        "num_key_value_heads": 8, "head_dim": 64, "sliding_window": 128, "layer_types": types});
    assert_eq!(cache(&gpt).layers, [layers(12, 2048, Some(128)), layers(12, 2048, None)]);
    // Llama-4-Scout: 48 layers of 2 * 8 * 128 * 2 = 4096, three of four within chunks of 8192.
    let scout = json!({"model_type": "llama4", "text_config": {"model_type": "llama4_text", "num_hidden_layers": 48,
        "hidden_size": 5120, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128,
        "attention_chunk_size": 8192, "no_rope_layers": []}});
    assert_eq!(cache(&scout).layers, [layers(36, 4096, Some(8192)), layers(12, 4096, None)]);
}

#[test]
fn what_a_published_file_leaves_unsaid_is_the_librarys_default() {
    // gemma-3-4b: 34 layers of 2 * 4 * 256 * 2 = 4096; every sixth attends to all: 34/6 = 5.
    let small = json!({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 2560,
        "num_hidden_layers": 34, "sliding_window": 1024}});
    assert_eq!(cache(&small).layers, [layers(29, 4096, Some(1024)), layers(5, 4096, None)]);
    // gemma-3-27b: 62 layers of 2 * 16 * 128 * 2 = 8192; 62/6 = 10.
    let large = json!({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 5376,
        "num_hidden_layers": 62, "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128,
        "sliding_window": 1024}});
    assert_eq!(cache(&large).layers, [layers(52, 8192, Some(1024)), layers(10, 8192, None)]);
    // At 131072 tokens: 52 * 8192 * 1024 + 10 * 8192 * 131072.
    assert_eq!(cache(&large).bytes(131_072), Some(11_173_625_856));
}

#[test]
fn latent_attention_keeps_one_short_vector() {
    // DeepSeek-V3: 61 * (512 + 64) * 2 = 70272, where its 128 heads would take 61 * 128 * (192 + 128) * 2 = 4997120.
    let deepseek = json!({"model_type": "deepseek_v3", "num_hidden_layers": 61, "hidden_size": 7168, "num_attention_heads": 128,
        "num_key_value_heads": 128, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "v_head_dim": 128});
    assert_eq!(cache(&deepseek).layers, [layers(61, 1152, None)]);
    assert_eq!(cache(&deepseek).bytes_per_token(), 70_272);
}

#[test]
fn layers_with_a_state_keep_nothing_of_a_token() {
    // Jamba-v0.1: layers 4, 12, 20 and 28 of 32, 2 * 8 * 4096/32 * 2 = 4096 each.
    let jamba = json!({"model_type": "jamba", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
        "num_key_value_heads": 8, "attn_layer_period": 8, "attn_layer_offset": 4});
    let hybrid = cache(&jamba);
    assert_eq!((hybrid.layers, hybrid.state_layers), (vec![layers(4, 4096, None)], 28));
    // Qwen3-Next-80B-A3B: every fourth of 48, 2 * 2 * 256 * 2 = 2048 each.
    let next = json!({"model_type": "qwen3_next", "num_hidden_layers": 48, "hidden_size": 2048, "num_attention_heads": 16,
        "num_key_value_heads": 2, "head_dim": 256, "full_attention_interval": 4});
    assert_eq!((cache(&next).bytes_per_token(), cache(&next).state_layers), (24_576, 36));
    // As Zamba2 lists them: its heads are of twice the hidden size. 2 * 32 * (2 * 2560/32) * 2 = 20480.
    let zamba = json!({"model_type": "zamba2", "num_hidden_layers": 3, "hidden_size": 2560, "num_attention_heads": 32,
        "layers_block_type": ["mamba", "mamba", "hybrid"]});
    assert_eq!(cache(&zamba).layers, [layers(1, 20_480, None)]);
    // As Nemotron-H writes them, one letter a layer: 2 * 8 * 128 * 2 = 4096.
    let nemotron = json!({"model_type": "nemotron_h", "num_attention_heads": 32, "num_key_value_heads": 8,
        "attention_head_dim": 128, "hybrid_override_pattern": "M-M-M*-E"});
    assert_eq!((cache(&nemotron).bytes_per_token(), cache(&nemotron).state_layers), (4096, 3));
    let mamba = json!({"model_type": "mamba2", "num_hidden_layers": 64});
    assert_eq!((cache(&mamba).bytes(1_000_000), cache(&mamba).state_layers), (Some(0), 64));
}

#[test]
fn a_decoder_keeps_what_it_hears() {
    // whisper-large-v3: 32 layers of 2 * 1280 * 2 = 5120, and the same for 1500 positions of the encoder: 32 * 5120 * 1500.
    let whisper = json!({"model_type": "whisper", "decoder_layers": 32, "d_model": 1280, "decoder_attention_heads": 20,
        "max_source_positions": 1500, "max_target_positions": 448});
    let cache = cache(&whisper);
    assert_eq!((cache.bytes_per_token(), cache.bytes_per_sequence), (163_840, 245_760_000));
    assert_eq!(cache.bytes(448), Some(319_160_320));
}

#[test]
fn what_is_not_known_is_said() {
    assert!(unknown(&json!({"model_type": "zebra9"})).contains("`zebra9` is not known"));
    assert!(!unknown(&json!({"model_type": "\u{1b}[2J"})).contains('\u{1b}'));
    assert!(unknown(&json!({})).contains("does not say the model's type"));
    let with = |key: &str, value: Value| {
        let mut config = llama();
        config[key] = value;
        of_config(&config)
    };
    assert!(with("num_hidden_layers", Value::Null).unwrap_err().to_string().contains("`num_hidden_layers`"));
    for (key, value) in [
        ("num_hidden_layers", json!(0)),
        ("num_hidden_layers", json!(u64::MAX)),
        ("num_hidden_layers", json!(-1)),
        ("num_attention_heads", json!(0)),
        ("num_key_value_heads", json!("8")),
        ("hidden_size", json!(1e300)),
        ("head_dim", json!(u64::MAX)),
        ("layer_types", json!(["full_attention"])),
        ("layer_types", json!(vec!["of the future"; 32])),
        ("layer_types", json!(vec!["sliding_attention"; 32])),
    ] {
        assert!(with(key, value.clone()).is_err(), "{key}: {value}");
    }
    // Mixtral without a word of its KV heads has 8, and not 32: what is not certain is not said.
    let mistral = json!({"model_type": "mistral", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32});
    assert!(unknown(&mistral).contains("`num_key_value_heads`"));
}

#[test]
fn the_sum_has_weights_cache_and_overhead() {
    let memory = Memory { weights_bytes: Some(16_000_000_000), kv_cache: of_config(&llama()) };
    // 8192 tokens * 131072 bytes * 2 sequences; a ninth of both, and 1 GB.
    let sum = memory.gpu_memory(8192, 2).unwrap();
    assert_eq!(sum.kv_cache_bytes, 2_147_483_648);
    assert_eq!(sum.overhead_bytes, 1_000_000_000 + 18_147_483_648 / 9);
    assert_eq!(sum.total_bytes, 18_147_483_648 + sum.overhead_bytes);
    for (context, sequences) in [(u64::MAX, 1), (1 << 40, u64::MAX)] {
        assert!(memory.gpu_memory(context, sequences).unwrap_err().to_string().contains("impossibly large"));
    }
    let unknown = Memory { weights_bytes: None, ..memory };
    assert!(unknown.gpu_memory(1, 1).unwrap_err().to_string().contains("size of the weights"));
    assert!(Memory::default().gpu_memory(1, 1).is_err());
}

fn of_header(file: &Gguf) -> Result<KvCache, Unknown> {
    let bytes = file.bytes();
    let summary = gguf::read_from(&bytes[..], bytes.len() as u64).unwrap();
    of_gguf(summary.architecture.as_deref(), &summary.shape)
}

#[test]
fn headers_of_gguf_say_the_same() {
    let of = |architecture: &str| {
        let key = |rest: &str| format!("{architecture}.{rest}");
        Gguf::new()
            .number(&key("block_count"), 12)
            .number(&key("embedding_length"), 4096)
            .number(&key("attention.head_count"), 32)
            .text("general.architecture", architecture)
    };
    // 2 * 8 * 4096/32 * 2 = 4096.
    let llama = of("llama").number("llama.attention.head_count_kv", 8);
    assert_eq!(of_header(&llama).unwrap().layers, [layers(12, 4096, None)]);
    // 4 * (256 + 128) * 2 = 3072; every sixth of 12 attends to all.
    let gemma = of("gemma3")
        .number("gemma3.attention.head_count_kv", 4)
        .number("gemma3.attention.key_length", 256)
        .number("gemma3.attention.value_length", 128)
        .number("gemma3.attention.sliding_window", 512);
    assert_eq!(of_header(&gemma).unwrap().layers, [layers(10, 3072, Some(512)), layers(2, 3072, None)]);
    // Each layer has its own number of heads: those of none have a state.
    let jamba = of("jamba").numbers("jamba.attention.head_count_kv", &[0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
    let cache = of_header(&jamba).unwrap();
    assert_eq!((cache.layers, cache.state_layers), (vec![layers(1, 4096, None)], 11));
    // Every head keeps its own where nothing else is said.
    assert_eq!(of_header(&of("qwen2")).unwrap().layers, [layers(12, 16_384, None)]);
    for unsaid in [
        Gguf::new(),
        Gguf::new().text("general.architecture", "llama"),
        of("deepseek2"),
        of("gemma2"),
        of("llama").numbers("llama.attention.head_count_kv", &[8, 8]),
    ] {
        assert!(of_header(&unsaid).is_err());
    }
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        (0_u64..40).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        prop::collection::vec(
            prop::sample::select(vec!["full_attention", "mamba", "sliding_attention"]),
            0..5
        )
        .prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn no_config_makes_it_panic(
        name in prop::sample::select(vec![
            "llama", "mistral", "qwen2", "gemma3_text", "llama4_text", "qwen3_next", "jamba", "zamba2", "nemotron_h",
            "deepseek_v3", "whisper", "mamba",
        ]),
        numbers in prop::collection::vec((prop::sample::select(vec![
            "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "sliding_window",
            "sliding_window_pattern", "attention_chunk_size", "no_rope_layers", "full_attention_interval", "attn_layer_period",
            "attn_layer_offset", "layer_types", "kv_lora_rank", "qk_rope_head_dim", "decoder_layers", "d_model",
            "max_source_positions", "use_sliding_window", "max_window_layers",
        ]), values()), 0..12),
        context: u64,
        sequences: u64,
    ) {
        let mut config = llama();
        config["model_type"] = name.into();
        for (key, value) in numbers {
            config[key] = value;
        }
        let memory = Memory { weights_bytes: Some(1), kv_cache: of_config(&config) };
        if let Ok(sum) = memory.gpu_memory(context, sequences) {
            prop_assert!(sum.total_bytes > sum.kv_cache_bytes);
        }
        if let Ok(cache) = memory.kv_cache {
            let _ = cache.bytes_per_token();
        }
    }
}
