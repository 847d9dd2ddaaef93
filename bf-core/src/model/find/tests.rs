use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::model::testing::{Cache, Gguf, safetensors};
use crate::model::{HeaderError, Location};
use crate::report::Exit;

const A: &str = "aaaaaaa111111111111111111111111111111111";
const B: &str = "bbbbbbb222222222222222222222222222222222";
const M: &str = "models--org--m";

fn id() -> ModelId {
    ModelId::parse("org/m").unwrap()
}

fn weights() -> Vec<u8> {
    safetensors(&[("x", "BF16", &[4, 8]), ("norm", "F32", &[3])])
}

/// A model with everything that is usually there.
fn whole(cache: &Cache, commit: &str) {
    cache.linked(M, commit, "model.safetensors", &weights());
    cache.linked(
        M,
        commit,
        "config.json",
        br#"{"architectures":["LlamaForCausalLM"],"max_position_embeddings":8192}"#,
    );
    cache.linked(M, commit, "README.md", b"---\nlicense: mit\n---\n");
}

fn found(cache: &Cache) -> Result<Found, ModelError> {
    find(&[cache.root(Location::Cache)], &id(), None)
}

#[track_caller]
fn refused(cache: &Cache, exit: Exit, part: &str) -> ModelError {
    let error = found(cache).unwrap_err();
    assert_eq!(error.exit(), exit, "{error}");
    assert!(error.to_string().contains(part), "{error}");
    assert!(error.hint().is_some(), "{error}");
    error
}

#[test]
fn a_model_serialises_as_model_ls_shows_it() {
    let cache = Cache::new();
    whole(&cache, A);
    let json = serde_json::to_value(list(&[cache.root(Location::Home)])).unwrap();
    let expected = serde_json::json!({"models": [{
        "repo": "org/m", "revision": A, "path": cache.path(&format!("{M}/snapshots/{A}")), "size_bytes": weights().len(),
        "format": "safetensors", "parameters": 35, "dtype": "BF16", "task": "text-generation", "license": "mit",
        "where": "home", "group": null, "context_length": 8192,
        "memory": {"weights_bytes": weights().len(), "kv_cache_bytes_per_token": null},
    }]});
    assert_eq!(json, expected);
}

#[test]
fn what_a_model_needs_is_read_from_its_files() {
    let cache = Cache::new();
    whole(&cache, A);
    let memory = found(&cache).unwrap().info.memory;
    assert_eq!(memory.weights_bytes, Some(weights().len() as u64));
    assert!(memory.kv_cache.unwrap_err().to_string().contains("model's type"));
    let config = br#"{"model_type":"llama","num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,"num_key_value_heads":2}"#;
    let cache = Cache::new();
    cache.linked(M, A, "model.safetensors", &weights()).linked(M, A, "config.json", config);
    cache.linked(M, A, "LICENSE", b"MIT License\n");
    let info = found(&cache).unwrap().info;
    // 2 layers * 2 * 2 heads * 64/4 numbers * 2 bytes.
    assert_eq!(info.memory.kv_cache.unwrap().bytes_per_token(), 256);
    assert_eq!(info.license.as_deref(), Some("mit"));
}

#[test]
fn a_gguf_says_what_it_is() {
    let cache = Cache::new();
    let gguf = Gguf::new().text("general.architecture", "llama").text("general.license", "apache-2.0");
    let gguf = gguf
        .number("llama.context_length", 2048)
        .number("general.file_type", 3)
        .tensor("x", &[64], 3)
        .bytes();
    cache.linked(M, A, "m.Q4_1.gguf", &gguf);
    let info = found(&cache).unwrap().info;
    assert_eq!((info.parameters, info.context_length), (Some(64), Some(2048)));
    let texts = [info.dtype, info.task, info.license, info.architecture].map(Option::unwrap_or_default);
    assert_eq!(texts, ["Q4_1", "text-generation", "apache-2.0", "llama"]);
    assert_eq!(info.weights, [cache.path(&format!("{M}/snapshots/{A}/m.Q4_1.gguf"))]);
}

#[test]
fn the_cache_wins_and_both_are_listed() {
    let (shared, home) = (Cache::new(), Cache::new());
    whole(&shared, A);
    whole(&home, A);
    let roots = [shared.root(Location::Cache), home.root(Location::Home)];
    assert_eq!(find(&roots, &id(), None).unwrap().info.location, Location::Cache);
    let places: Vec<_> = list(&roots).models.iter().map(|model| model.location).collect();
    assert_eq!(places, [Location::Cache, Location::Home]);
}

#[test]
fn what_the_cache_cannot_give_comes_from_home() {
    let (shared, home) = (Cache::new(), Cache::new());
    cache_cut(&shared);
    whole(&home, B);
    let roots = [shared.root(Location::Cache), home.root(Location::Home)];
    let found = find(&roots, &id(), None).unwrap();
    assert_eq!(found.info.location, Location::Home);
    assert!(found.warnings[0].message.contains("is damaged"), "{:?}", found.warnings);
    let found = find(&roots, &id(), Some("bbbbbbb")).unwrap();
    assert!(found.warnings.is_empty());
}

fn cache_cut(cache: &Cache) {
    let bytes = weights();
    cache.linked(M, A, "model.safetensors", &bytes[..bytes.len() - 1]);
}

#[test]
fn unknown_models_are_answered_with_near_names() {
    let cache = Cache::new();
    whole(&cache, A);
    let error = find(&[cache.root(Location::Cache)], &ModelId::parse("org/n").unwrap(), None).unwrap_err();
    assert_eq!((error.exit(), error.code()), (Exit::NotFound, "model_not_found"));
    assert_eq!(error.hint().unwrap(), "did you mean org/m?");
    assert!(find(&[], &id(), None).unwrap_err().hint().is_some());
}

#[test]
fn unknown_revisions_are_answered_with_those_there_are() {
    let (shared, home) = (Cache::new(), Cache::new());
    whole(&shared, A);
    whole(&home, B);
    let roots = [shared.root(Location::Cache), home.root(Location::Home)];
    let error = find(&roots, &id(), Some("v2")).unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound);
    assert_eq!(error.hint().unwrap(), format!("there is {A}, {B}"));
    assert_eq!(find(&roots, &id(), Some("../../x")).unwrap_err().exit(), Exit::Usage);
}

#[test]
fn incomplete_models_name_what_is_missing_and_what_to_use_instead() {
    let cache = Cache::new();
    whole(&cache, A);
    let index =
        br#"{"weight_map":{"x":"model-00001-of-00002.safetensors","y":"model-00002-of-00002.safetensors"}}"#;
    cache.linked(M, B, "model.safetensors.index.json", index);
    cache.linked(M, B, "model-00001-of-00002.safetensors", &weights());
    cache.file(&format!("{M}/refs/main"), B.as_bytes());
    let error = refused(&cache, Exit::Invalid, "model-00002-of-00002.safetensors");
    assert!(error.hint().unwrap().contains(A), "{:?}", error.hint());
    let inventory = list(&[cache.root(Location::Cache)]);
    assert_eq!((inventory.models.len(), inventory.findings.len()), (1, 1));
    assert_eq!(inventory.findings[0].code, "model_incomplete");
}

#[test]
fn main_at_a_commit_that_is_not_there_is_told() {
    let cache = Cache::new();
    whole(&cache, A);
    cache.file(&format!("{M}/refs/main"), B.as_bytes());
    let found = found(&cache).unwrap();
    assert_eq!(found.info.revision, A);
    assert_eq!(found.warnings[0].code, "revision_main_missing");
}

#[test]
fn damaged_models_name_the_file() {
    let cache = Cache::new();
    cache_cut(&cache);
    let error = refused(&cache, Exit::Invalid, "model.safetensors is damaged: it is cut off");
    assert!(matches!(error, ModelError::Damaged { source: HeaderError::Truncated { .. }, .. }));
    let cache = Cache::new();
    cache.linked(M, A, "pytorch_model.bin", b"");
    refused(&cache, Exit::Invalid, "pytorch_model.bin is damaged");
}

#[test]
fn models_without_weights_are_told() {
    let cache = Cache::new();
    cache.linked(M, A, "config.json", b"{}");
    refused(&cache, Exit::Invalid, "has no weights");
    cache.linked(M, A, "model.safetensors", &weights());
    let error =
        find_format(&[cache.root(Location::Cache)], &id(), None, Some(WeightFormat::Gguf)).unwrap_err();
    assert_eq!(error.hint().unwrap(), "there is safetensors");
    let cache = Cache::new();
    fs_err::create_dir(cache.path(M)).unwrap();
    refused(&cache, Exit::Invalid, "has no snapshot");
    assert_eq!(list(&[cache.root(Location::Cache)]).findings.len(), 1);
}

#[test]
fn links_out_of_the_model_are_refused() {
    let cache = Cache::new();
    whole(&cache, A);
    cache.link(&format!("{M}/snapshots/{A}/passwd.safetensors"), "/etc/passwd");
    refused(&cache, Exit::Invalid, "leads out of the model's folder");
}

#[test]
fn a_model_folder_may_itself_be_a_link() {
    let (cache, elsewhere) = (Cache::new(), Cache::new());
    whole(&elsewhere, A);
    cache.link(M, elsewhere.path(M).to_str().unwrap());
    assert_eq!(found(&cache).unwrap().folder, fs_err::canonicalize(elsewhere.path(M)).unwrap());
}

fn chmod(cache: &Cache, below: &str, mode: u32) {
    fs_err::set_permissions(cache.path(below), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_restricted_folder_names_its_group() {
    let cache = Cache::new();
    whole(&cache, A);
    assert_eq!(found(&cache).unwrap().info.group, None);
    chmod(&cache, M, 0o750);
    let group = own_group();
    assert_eq!(found(&cache).unwrap().info.group, Some(group));
}

fn own_group() -> String {
    let gid = nix::unistd::getegid();
    nix::unistd::Group::from_gid(gid).unwrap().map_or_else(|| gid.to_string(), |group| group.name)
}

/// Runs `test` as somebody who owns nothing. Root can become nobody, for this thread; others are closed out already.
fn as_a_stranger(test: impl FnOnce() + Send) {
    use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

    std::thread::scope(|scope| {
        scope.spawn(|| {
            if Uid::effective().is_root() {
                setfsgid(Gid::from_raw(65534));
                setfsuid(Uid::from_raw(65534));
            }
            test();
        });
    });
}

#[test]
fn closed_models_name_the_group_to_ask_for() {
    for (closed, mode) in
        [(M.to_owned(), 0o050), (format!("{M}/snapshots"), 0o050), (format!("{M}/blobs"), 0o050)]
    {
        let cache = Cache::new();
        whole(&cache, A);
        chmod(&cache, "", 0o755);
        chmod(&cache, &closed, mode);
        as_a_stranger(|| {
            let error = refused(&cache, Exit::Permission, "no permission");
            let group = own_group();
            assert!(error.hint().unwrap().contains(&group), "{closed}: {:?}", error.hint());
            let inventory = list(&[cache.root(Location::Cache)]);
            // One that is closed as a whole is for others, and nothing is wrong with it.
            let findings = usize::from(closed != M);
            assert_eq!((inventory.models.len(), inventory.findings.len()), (0, findings), "{closed}");
        });
        chmod(&cache, &closed, 0o755);
    }
}

#[test]
fn closed_files_are_not_called_damaged() {
    for closed in ["model.safetensors", "tokenizer.json"] {
        let cache = Cache::new();
        cache.file(&format!("{M}/snapshots/{A}/model.safetensors"), &weights());
        cache.file(&format!("{M}/snapshots/{A}/tokenizer.json"), b"{}");
        chmod(&cache, "", 0o755);
        chmod(&cache, &format!("{M}/snapshots/{A}/{closed}"), 0o000);
        as_a_stranger(|| {
            let error = refused(&cache, Exit::Permission, closed);
            assert!(error.hint().unwrap().contains("owner"), "{:?}", error.hint());
        });
    }
}
