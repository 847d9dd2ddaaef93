use std::convert::Infallible;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::model::testing::Cache;

type Chose = Result<Chosen, ChooseError<Infallible>>;

/// Chooses among files of 1000 bytes, with the indexes given.
fn of(files: &[&str], indexes: &[(&str, &[&str])], choice: &Choice) -> Chose {
    let list: Vec<_> = files.iter().map(|path| (*path, 1000)).collect();
    let mut read = |path: &str| {
        let (_, shards) = indexes.iter().find(|(index, _)| *index == path).unwrap();
        Ok(Some(index(shards)))
    };
    choose(&list, &mut read, choice)
}

fn index(shards: &[&str]) -> Vec<u8> {
    let map: serde_json::Map<_, _> =
        shards.iter().enumerate().map(|(at, shard)| (at.to_string(), (*shard).into())).collect();
    serde_json::to_vec(&serde_json::json!({ "weight_map": map })).unwrap()
}

fn kept<'a>(files: &[&'a str], chosen: &Chosen) -> Vec<&'a str> {
    chosen.files.iter().map(|at| files[*at]).collect()
}

fn why(chosen: &Chosen, path: &str) -> Option<Why> {
    chosen.left_out.iter().find(|left| left.path == path).map(|left| left.why)
}

fn wanted(format: Wanted) -> Choice {
    Choice { format: Some(format), ..Choice::default() }
}

fn patterns(include: &[&str], exclude: &[&str]) -> Choice {
    let of = |patterns: &[&str]| patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
    Choice { include: of(include), exclude: of(exclude), ..Choice::default() }
}

/// As `meta-llama/Llama-3.1-8B-Instruct` is laid out, with more that others have.
const LLAMA: [&str; 19] = [
    ".gitattributes",
    "LICENSE",
    "README.md",
    "chat_template.jinja",
    "config.json",
    "consolidated.safetensors",
    "custom_code/modeling.py",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.fp16.safetensors",
    "model.safetensors.index.json",
    "onnx/config.json",
    "onnx/model.onnx",
    "original/consolidated.00.pth",
    "original/params.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
    "tokenizer.json",
];

const LLAMA_INDEX: (&str, &[&str]) = (
    "model.safetensors.index.json",
    &["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
);

#[test]
fn one_set_and_all_small_files_are_chosen() {
    let chosen = of(&LLAMA, &[LLAMA_INDEX], &Choice::default()).unwrap();
    assert_eq!(
        kept(&LLAMA, &chosen),
        [
            ".gitattributes",
            "LICENSE",
            "README.md",
            "chat_template.jinja",
            "config.json",
            "custom_code/modeling.py",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json",
        ]
    );
    assert_eq!((chosen.weights.format, chosen.weights.bytes), (WeightFormat::Safetensors, 2000));
    for (path, reason) in [
        ("consolidated.safetensors", Why::OtherSet),
        ("model.fp16.safetensors", Why::OtherSet),
        ("onnx/model.onnx", Why::OtherRuntime),
        ("original/params.json", Why::OtherRuntime),
        ("pytorch_model.bin", Why::Pickle),
        ("pytorch_model.bin.index.json", Why::Index),
        ("tf_model.h5", Why::OtherFormat),
    ] {
        assert_eq!(why(&chosen, path), Some(reason), "{path}");
    }
    assert_eq!(chosen.files.len() + chosen.left_out.len(), LLAMA.len());
}

#[test]
fn shards_that_are_not_there_are_named() {
    let files: Vec<_> = LLAMA.into_iter().filter(|path| !path.contains("00002-of")).collect();
    let error = of(&files, &[LLAMA_INDEX], &Choice::default()).unwrap_err();
    assert_eq!(error.to_string(), "a part of the weights is missing: model-00002-of-00002.safetensors");
    let error = of(&LLAMA, &[LLAMA_INDEX], &patterns(&[], &["*-00001-*"])).unwrap_err();
    assert!(
        matches!(error, ChooseError::Missing { missing } if missing == ["model-00001-of-00002.safetensors"])
    );
    let hostile = [("model.safetensors.index.json", &["../../etc/passwd"][..])];
    assert!(matches!(
        of(&["model.safetensors.index.json"], &hostile, &Choice::default()),
        Err(ChooseError::Missing { .. })
    ));
}

#[test]
fn an_index_goes_with_its_shards() {
    // Left behind by a conversion to one file: engines that believe it load nothing.
    let files = ["config.json", "model.safetensors", "model.safetensors.index.json"];
    let chosen = of(&files, &[LLAMA_INDEX], &Choice::default()).unwrap();
    assert_eq!(kept(&files, &chosen), files[..2]);
    assert_eq!(why(&chosen, files[2]), Some(Why::Index));
    // Of another format than what is asked for.
    let mut files = LLAMA.to_vec();
    files.push("m-Q8_0.gguf");
    let chosen = of(&files, &[], &wanted(Wanted::Format(WeightFormat::Gguf))).unwrap();
    assert_eq!(why(&chosen, "model.safetensors.index.json"), Some(Why::Index));
    // All shards are left out on purpose, and something else is there.
    let chosen = of(&files, &[LLAMA_INDEX], &patterns(&[], &["*.safetensors"])).unwrap();
    assert_eq!(chosen.weights.format, WeightFormat::Gguf);
    assert_eq!(why(&chosen, "model.safetensors.index.json"), Some(Why::Index));
}

#[test]
fn mistrals_own_files_are_chosen_when_asked_for() {
    let mut files = LLAMA.to_vec();
    files.extend(["params.json", "tekken.json"]);
    let chosen = of(&files, &[], &wanted(Wanted::Mistral)).unwrap();
    assert_eq!(chosen.weights.files, [5]);
    assert_eq!(why(&chosen, "model.safetensors.index.json"), Some(Why::Index));
    assert_eq!(why(&chosen, "model-00001-of-00002.safetensors"), Some(Why::OtherSet));
    assert!(kept(&files, &chosen).contains(&"tekken.json"));
    // Without any other they are everybody's.
    let parts = ["consolidated-00001-of-00002.safetensors", "consolidated-00002-of-00002.safetensors"];
    let all = [parts[0], parts[1], "consolidated.safetensors.index.json", "params.json"];
    let chosen = of(&all, &[(all[2], &parts)], &Choice::default()).unwrap();
    assert_eq!(kept(&all, &chosen), all);
}

#[test]
fn of_many_quantisations_one_is_chosen_with_its_parts_and_eyes() {
    let files = [
        "README.md",
        "m-BF16/m-BF16-00001-of-00002.gguf",
        "m-BF16/m-BF16-00002-of-00002.gguf",
        "m-IQ2_M.gguf",
        "m-Q5_K_M.gguf",
        "m-Q8_0.gguf",
        "mmproj-F16.gguf",
        "imatrix.gguf",
    ];
    let chosen = of(&files, &[], &Choice::default()).unwrap();
    assert_eq!(kept(&files, &chosen), ["README.md", "m-Q5_K_M.gguf", "mmproj-F16.gguf"]);
    assert_eq!(chosen.weights.quantisation, Some("Q5_K_M"));
    assert_eq!(chosen.weights.alternatives.len(), 3);
    let chosen = of(&files, &[], &patterns(&["*BF16*"], &["mmproj*"])).unwrap();
    assert_eq!(kept(&files, &chosen), files[..3]);
    assert_eq!(chosen.weights.bytes, 2000);
    let error = of(&files, &[], &patterns(&["*-00001-of-*"], &[])).unwrap_err();
    assert!(matches!(error, ChooseError::Missing { .. }), "{error}");
    let error = of(&files, &[], &wanted(Wanted::Format(WeightFormat::Safetensors))).unwrap_err();
    assert!(matches!(error, ChooseError::NoWeights { there, .. } if there == [WeightFormat::Gguf]));
}

#[test]
fn include_keeps_all_that_match_and_what_is_small() {
    let files = ["config.json", "a-Q4_K_M.gguf", "a-Q8_0.gguf", "a-F16.gguf", "docs/big.csv", "onnx/a.onnx"];
    let mut list: Vec<_> = files.iter().map(|path| (*path, 1000)).collect();
    list[4].1 = SMALL;
    let of = |choice: &Choice| choose(&list, &mut |_| Ok::<_, Infallible>(None), choice).unwrap();
    let chosen = of(&patterns(&["*Q*.gguf"], &[]));
    assert_eq!(chosen.files, [0, 1, 2]);
    assert_eq!((why(&chosen, files[3]), why(&chosen, files[4])), (Some(Why::NotIncluded), Some(Why::Large)));
    assert_eq!(of(&patterns(&["*F16*", "docs/", "onnx/"], &["config*"])).files, [3, 4, 5]);
    assert_eq!(of(&Choice { all: true, ..patterns(&["nothing"], &["*.onnx"]) }).files, [0, 1, 2, 3, 4]);
}

#[test]
fn what_can_hold_code_is_never_chosen_unless_allowed() {
    let files = ["config.json", "pytorch_model.bin", "training_args.bin", "old.pt"];
    for choice in [
        Choice::default(),
        Choice { all: true, ..Choice::default() },
        patterns(&["*"], &[]),
        wanted(Wanted::Format(WeightFormat::Pickle)),
    ] {
        let error = of(&files, &[], &choice).unwrap_err();
        assert!(matches!(error, ChooseError::Pickle { first } if first == "pytorch_model.bin"));
        let chosen = of(&files, &[], &Choice { allow_pickle: true, ..choice }).unwrap();
        assert_eq!(chosen.weights.files, [1]);
    }
    let mut files = files.to_vec();
    files.push("model.gguf");
    let error = of(&files, &[], &patterns(&["*.bin"], &[])).unwrap_err();
    assert!(matches!(error, ChooseError::Pickle { .. }), "{error}");
    let error = of(&files, &[], &patterns(&["*.txt"], &["*.pt", "*.bin"])).unwrap_err();
    assert!(matches!(error, ChooseError::NoWeights { .. }), "{error}");
    assert_eq!(of(&files, &[], &Choice { all: true, ..Choice::default() }).unwrap().files, [0, 4]);
}

#[test]
fn modules_and_pipelines_keep_their_folders() {
    let files =
        ["2_Dense/model.safetensors", "model.safetensors", "modules.json", "old/model.safetensors.bak"];
    let chosen = of(&files, &[], &Choice::default()).unwrap();
    assert_eq!(chosen.weights.bytes, 2000);
    let files = [
        "model_index.json",
        "pipeline.safetensors",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "unet/a.safetensors",
        "unet/b.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.json",
    ];
    let index = [(files[6], &["a.safetensors", "b.safetensors"][..])];
    let chosen = of(&files, &index, &Choice::default()).unwrap();
    assert_eq!(kept(&files, &chosen), [files[0], files[3], files[4], files[5], files[6]]);
    // The module of a model whose own weights may not be fetched is no model.
    let files = ["2_Dense/model.safetensors", "modules.json", "pytorch_model.bin"];
    let chosen = of(&files, &[], &Choice { allow_pickle: true, ..Choice::default() }).unwrap();
    assert_eq!(chosen.weights.format, WeightFormat::Pickle);
    // Without the file that says so, a folder is somebody's own.
    let files = ["4bit/model.safetensors", "model.safetensors"];
    assert_eq!(of(&files, &[], &Choice::default()).unwrap().files, [1]);
}

#[test]
fn tokenizers_may_be_large() {
    let list = [
        ("model.safetensors", 9),
        ("tokenizer.json", 34_000_000),
        ("x.json", 34_000_000),
        ("t.model", LARGE_TOKENIZER),
    ];
    let chosen = choose(&list, &mut |_| Ok::<_, Infallible>(None), &Choice::default()).unwrap();
    assert_eq!(chosen.files, [0, 1]);
}

#[test]
fn what_the_reader_says_is_passed_on() {
    let list = [("model.safetensors.index.json", 9), ("a.safetensors", 1)];
    let error = choose(&list, &mut |_| Err("no network"), &Choice::default()).unwrap_err();
    assert_eq!(error.to_string(), "model.safetensors.index.json cannot be read: no network");
    let error =
        choose(&list, &mut |_| Ok::<_, &str>(Some(b"<html>".to_vec())), &Choice::default()).unwrap_err();
    assert!(matches!(error, ChooseError::Index { .. }), "{error}");
    let chosen = choose(&list, &mut |_| Ok::<_, &str>(None), &Choice::default()).unwrap();
    assert_eq!(chosen.files, [1]);
}

#[test]
fn what_is_wanted_is_read_by_name() {
    for name in ["safetensors", "gguf", "ggml", "pickle", "mistral"] {
        assert_eq!(name.parse::<Wanted>().unwrap().to_string(), name);
    }
    assert!("onnx".parse::<Wanted>().is_err());
}

const NAMES: [&str; 34] = [
    "config.json",
    "tokenizer.json",
    "modules.json",
    "model_index.json",
    "big.csv",
    "model.safetensors",
    "model.fp16.safetensors",
    "model.bf16.safetensors",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "other.safetensors",
    "model.safetensors.index.json",
    "model.safetensors.index.fp32.json",
    "consolidated.safetensors",
    "consolidated-00001-of-00002.safetensors",
    "consolidated.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model.bin.index.json",
    "training_args.bin",
    "tiny.pt",
    "m-Q4_K_M.gguf",
    "m-Q8_0-00001-of-00002.gguf",
    "m-Q8_0-00002-of-00002.gguf",
    "q/m-Q2_K.gguf",
    "mmproj-F16.gguf",
    "ggml-tiny.bin",
    "model.onnx",
    "original/consolidated.00.pth",
    "2_Dense/model.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.safetensors.index.json",
    "unet/a.safetensors",
];

const PATTERNS: [&str; 8] =
    ["*.safetensors", "*.gguf", "*Q8*", "*.bin", "*.json", "unet/", "model*", "*-00001-*"];

prop_compose! {
    fn choices()(
        format in select(vec![None, Some("safetensors"), Some("gguf"), Some("ggml"), Some("pickle"), Some("mistral")]),
        include in subsequence(PATTERNS.to_vec(), 0..3),
        exclude in subsequence(PATTERNS.to_vec(), 0..2),
        all in prop::bool::weighted(0.15),
        allow_pickle: bool,
    ) -> Choice {
        Choice {
            format: format.map(|name| name.parse().unwrap()),
            all,
            allow_pickle,
            ..patterns(&include, &exclude)
        }
    }
}

proptest! {
    /// What is chosen is what is then loaded: written to a disk, the same set is found there, whole.
    #[test]
    fn the_chosen_files_are_a_model_whose_weights_are_the_same(
        files in subsequence(NAMES.to_vec(), 1..NAMES.len()),
        shards in subsequence(NAMES.to_vec(), 0..4),
        choice in choices(),
    ) {
        let content = index(&shards);
        let list: Vec<_> = files.iter().map(|path| (*path, 1000)).collect();
        let mut asked = BTreeSet::new();
        let mut read = |path: &str| {
            assert!(asked.insert(path.to_owned()), "{path} is read twice");
            Ok::<_, Infallible>(Some(content.clone()))
        };
        let Ok(chosen) = choose(&list, &mut read, &choice) else { return Ok(()) };

        let mut seen: Vec<&str> = kept(&files, &chosen);
        prop_assert!(choice.allow_pickle || !seen.iter().any(|path| format::holds_code(path)));
        let excluded = |path: &&&str| choice.exclude.iter().any(|pattern| pattern.matches(path));
        prop_assert_eq!(seen.iter().find(excluded), None);

        let cache = Cache::new();
        for path in &seen {
            let is_index = path.ends_with(".index.json");
            cache.file(path, if is_index { &content } else { &[0; 1000] });
        }
        let root = fs_err::canonicalize(cache.path("")).unwrap();
        let snapshot = crate::model::snapshot::read(&root, &root).unwrap();
        let set = format::choose(&snapshot, None).unwrap().unwrap();
        prop_assert_eq!(&set.missing, &Vec::<String>::new());
        let loaded: Vec<_> = set.files.iter().map(|file| file.path.as_str()).collect();
        let weights: Vec<_> = chosen.weights.files.iter().map(|at| files[*at]).collect();
        prop_assert_eq!((set.format, loaded), (chosen.weights.format, weights));

        seen.extend(chosen.left_out.iter().map(|left| left.path.as_str()));
        seen.sort_unstable();
        let mut all = files;
        all.sort_unstable();
        prop_assert_eq!(seen, all);
    }
}
