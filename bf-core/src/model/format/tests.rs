use super::*;
use crate::model::testing::Cache;

/// A snapshot whose files are as many bytes long as said.
fn snapshot(files: &[(&str, u64)]) -> Snapshot {
    let files = files
        .iter()
        .map(|(path, bytes)| SnapshotFile {
            path: (*path).into(),
            bytes: Some(*bytes),
            file: PathBuf::from(*path),
        })
        .collect();
    Snapshot { files, ..Snapshot::default() }
}

fn chosen(
    files: &[(&str, u64)],
    asked: Option<WeightFormat>,
) -> Option<(WeightFormat, Vec<String>, Option<u64>)> {
    let set = choose(&snapshot(files), asked).unwrap()?;
    let bytes = set.bytes();
    Some((set.format, set.files.into_iter().map(|file| file.path).collect(), bytes))
}

#[test]
fn safetensors_come_first_unless_another_is_asked_for() {
    let files =
        [("model.safetensors", 10), ("m-Q4_K_M.gguf", 3), ("pytorch_model.bin", 11), ("ggml-tiny.bin", 2)];
    let of = |asked| chosen(&files, asked).unwrap();
    assert_eq!(of(None), (WeightFormat::Safetensors, vec!["model.safetensors".into()], Some(10)));
    assert_eq!(of(Some(WeightFormat::Gguf)).2, Some(3));
    assert_eq!(
        of(Some(WeightFormat::Pickle)),
        (WeightFormat::Pickle, vec!["pytorch_model.bin".into()], Some(11))
    );
    assert_eq!(of(Some(WeightFormat::Ggml)).2, Some(2));
    assert_eq!(formats(&snapshot(&files)), WeightFormat::ALL);
}

#[test]
fn of_several_quantisations_one_is_chosen() {
    let all = [
        ("m-BF16.gguf", 9),
        ("m-Q2_K.gguf", 1),
        ("m-Q4_K_M.gguf", 4),
        ("m-Q8_0.gguf", 8),
        ("mmproj-F16.gguf", 2),
    ];
    for (files, name) in
        [(&all[..], "m-Q4_K_M.gguf"), (&[all[0], all[1], all[3]], "m-Q8_0.gguf"), (&all[..2], "m-BF16.gguf")]
    {
        assert_eq!(chosen(files, None).unwrap().1, [name]);
    }
    assert_eq!(chosen(&[("b.gguf", 1), ("a.gguf", 2), ("imatrix.gguf", 1)], None).unwrap().1, ["a.gguf"]);
    let set = choose(&snapshot(&all), None).unwrap().unwrap();
    assert_eq!(set.quantisation, Some("Q4_K_M"));
    let others: Vec<_> = set.alternatives.iter().map(|other| (other.quantisation, other.bytes)).collect();
    assert_eq!(others, [(Some("Q8_0"), Some(8)), (Some("BF16"), Some(9)), (Some("Q2_K"), Some(1))]);
    assert_eq!(chosen(&[("mmproj-F16.gguf", 2)], None), None);
}

#[test]
fn split_files_are_one_set() {
    let parts = [("q/m-Q8_0-00001-of-00002.gguf", 5), ("q/m-Q8_0-00002-of-00002.gguf", 6)];
    assert_eq!(chosen(&parts, None).unwrap().2, Some(11));
    let set = choose(&snapshot(&parts[1..]), None).unwrap().unwrap();
    assert_eq!(set.missing, ["q/m-Q8_0-00001-of-00002.gguf"]);
    assert_eq!(set.bytes(), None);
    // One that is all there is better than a preferred one that is not.
    let mixed = [("m-Q2_K.gguf", 1), ("m-Q4_K_M-00002-of-00002.gguf", 6)];
    assert_eq!(chosen(&mixed, None).unwrap().1, ["m-Q2_K.gguf"]);
}

#[test]
fn a_name_that_claims_many_parts_is_cheap() {
    let set = choose(&snapshot(&[("m-00001-of-99999.gguf", 1)]), None).unwrap().unwrap();
    assert_eq!(set.missing.len(), 20);
}

#[test]
fn without_an_index_all_top_level_safetensors_count_once() {
    let files = [
        ("a.safetensors", 1),
        ("b.safetensors", 2),
        ("consolidated.safetensors", 3),
        ("unet/c.safetensors", 4),
    ];
    assert_eq!(chosen(&files, None).unwrap().2, Some(3));
    assert_eq!(chosen(&files[2..], None).unwrap().1, ["consolidated.safetensors"]);
    let part = [("model-00001-of-00002.safetensors", 1)];
    assert_eq!(
        choose(&snapshot(&part), None).unwrap().unwrap().missing,
        ["model-00002-of-00002.safetensors"]
    );
}

#[test]
fn what_training_left_is_no_model() {
    assert_eq!(chosen(&[("training_args.bin", 1), ("optimizer.pt", 1), ("config.json", 1)], None), None);
    assert_eq!(chosen(&[("a.pt", 1), ("b.bin", 2), ("rng_state_0.pth", 4)], None).unwrap().1, ["b.bin"]);
    assert_eq!(chosen(&[("tiny.pt", 1)], None).unwrap().0, WeightFormat::Pickle);
}

#[test]
fn the_size_is_unknown_rather_than_nothing() {
    let mut snapshot = snapshot(&[("model.safetensors", 1)]);
    snapshot.files[0].bytes = None;
    assert_eq!(choose(&snapshot, None).unwrap().unwrap().bytes(), None);
}

fn with_index(index: &str, others: &[&str]) -> Result<Option<WeightSet>, (PathBuf, HeaderError)> {
    let cache = Cache::new();
    cache.file("model.safetensors.index.json", index.as_bytes());
    for other in others {
        cache.file(other, b"1234");
    }
    let boundary = fs_err::canonicalize(cache.path("")).unwrap();
    choose(&super::super::snapshot::read(&boundary, &boundary).unwrap(), None)
}

#[test]
fn the_index_decides() {
    let index = r#"{"metadata":{"total_size":8},"weight_map":{"x":"b.safetensors","y":"a.safetensors","z":"b.safetensors"}}"#;
    let set = with_index(
        index,
        &["a.safetensors", "b.safetensors", "fp16.safetensors", "consolidated.safetensors"],
    );
    let set = set.unwrap().unwrap();
    assert_eq!(
        set.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(),
        ["a.safetensors", "b.safetensors"]
    );
    assert_eq!(set.bytes(), Some(8));
    let set = with_index(index, &["a.safetensors"]).unwrap().unwrap();
    assert_eq!((set.missing.clone(), set.bytes()), (vec!["b.safetensors".to_owned()], None));
    let set = with_index(index, &["model.safetensors"]).unwrap().unwrap();
    assert_eq!(set.bytes(), Some(4));
}

#[test]
fn a_hostile_index_opens_nothing() {
    let set =
        with_index(r#"{"weight_map":{"x":"../../../etc/passwd","y":"/etc/passwd"}}"#, &[]).unwrap().unwrap();
    assert_eq!((set.files.len(), set.missing.len()), (0, 2));
    for index in [
        "",
        "{",
        "[]",
        r#"{"weight_map":[]}"#,
        r#"{"weight_map":{"a":1}}"#,
        r#"{"weight_map":{"a":"\u001b"}}"#,
    ] {
        assert!(with_index(index, &[]).is_err(), "{index}");
    }
}

#[test]
fn formats_are_read_by_name() {
    for format in WeightFormat::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    assert!("onnx".parse::<WeightFormat>().is_err());
}
