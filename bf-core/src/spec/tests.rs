//! The parser against faulty files, and against noise.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::parse::{MAX_BYTES, Reader};
use super::{ConfigError, ResourceSpecs, SpecSource, fixtures, snippet};
use crate::report::{Exit, Explain, Finding};

const TEMPLATE: &str = include_str!("../../../templates/resource_specs.yaml");

fn parse(text: &str) -> Result<(ResourceSpecs, Vec<Finding>), Vec<Finding>> {
    ResourceSpecs::parse(text, Path::new("resource_specs.yaml"))
}

#[test]
fn every_fault_is_reported_at_its_place() {
    fixtures::check(
        "specs",
        |text, path| match ResourceSpecs::parse(text, path) {
            Ok((_, findings)) | Err(findings) => findings,
        },
        70,
    );
}

/// The reader and the description find the same keys and types wrong, whatever is done to a file that has all of them.
#[test]
fn the_description_is_that_of_the_reader() {
    let full = json!({
        "time": {"default": 30, "max": 60},
        "partitions": {"a": {"default": true, "tiers": [{
            "name": "t", "description": "d", "max_model_size_gb": 5.5, "gpu_count": 1, "gpu_type": "a100",
            "cpu_cores": 1, "memory_gb": 1, "slurm": {"constraint": "x", "gres": "gpu:a100"},
        }]}},
        "models": {"o/m": "a.t"},
    });
    let structural = |findings: Vec<Finding>| -> Vec<_> {
        let codes = ["missing_key", "unknown_key", "wrong_type", "out_of_range", "not_whole", "empty_value"];
        let is_structural = |finding: &Finding| codes.contains(&finding.code);
        findings.into_iter().filter(is_structural).map(|f| (f.line, f.column, f.code)).collect()
    };
    let mut tried = 0;
    for pointer in pointers(&full, "") {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/");
        let values = json!([null, "", "text", 0, -1, 1.5, true, [], {}, ["x"], [{}]]);
        let mut mutants: Vec<Value> = values
            .as_array()
            .unwrap()
            .iter()
            .map(|value| {
                let mut mutant = full.clone();
                *mutant.pointer_mut(&pointer).unwrap() = value.clone();
                mutant
            })
            .collect();
        if full.pointer(parent).is_some_and(Value::is_object) {
            let mut without = full.clone();
            let value = without.pointer_mut(parent).unwrap().as_object_mut().unwrap().shift_remove(&key);
            mutants.push(without.clone());
            let map = without.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            map.insert(format!("{key}x"), value.unwrap());
            mutants.push(without);
        }
        for mutant in mutants {
            tried += 1;
            let text = mutant.to_string();
            // What is said otherwise: that there are no partitions.
            if mutant.get("partitions").is_none_or(|value| value.is_null() || *value == json!({})) {
                assert!(parse(&text).is_err(), "{text}");
                continue;
            }
            let read = structural(match parse(&text) {
                Ok((_, findings)) | Err(findings) => findings,
            });
            let reader = Reader::new();
            let root = reader.document(&text).unwrap();
            crate::shape::check(&reader, &root, ResourceSpecs::shape());
            let mut described = structural(reader.into_findings());
            let mut read = read;
            described.sort_unstable();
            read.sort_unstable();
            assert_eq!(read, described, "{text}");
        }
    }
    assert!(tried > 200, "{tried}");
}

/// JSON pointers to everything in a value.
fn pointers(value: &Value, path: &str) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.replace('/', "~1"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, item)| (n.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    let below = inner.into_iter().map(|(key, value)| (format!("{path}/{key}"), value));
    below.flat_map(|(path, value)| [vec![path.clone()], pointers(value, &path)].concat()).collect()
}

#[test]
fn the_example_of_the_management_guide_is_valid() {
    let guide = r#"
time:
  default: 30
  max: 180

partitions:
  gpu:
    default: true
    tiers:
      - name: Small
        description: "Small models (up to 16GB)"
        max_model_size_gb: 16
        gpu_count: 1
        gpu_type: a100
        cpu_cores: 4
        memory_gb: 16
        slurm:
          constraint: "gpu80"

      - name: Large
        description: "Large models (80GB+)"
        max_model_size_gb: null
        gpu_count: 4
        cpu_cores: 16
        memory_gb: 64

  cpu:
    default: false
    tiers:
      - name: CPU Only
        description: "For testing or small models"
        max_model_size_gb: 2
        gpu_count: 0
        cpu_cores: 4
        memory_gb: 8

models:
  "meta-llama/Llama-2-70b-hf": "gpu.Large"
"#;
    let (specs, warnings) = parse(guide).unwrap();
    assert_eq!(warnings.iter().map(|w| (w.code, w.line)).collect::<Vec<_>>(), [("no_catch_all", Some(27))]);
    assert_eq!((specs.time.default_minutes, specs.time.max_minutes), (30, 180));
    assert_eq!(specs.default_partition().unwrap().label(), "gpu");
    let small = specs.partition("gpu").unwrap().tier("Small").unwrap();
    assert_eq!(small.max_model_size_gb, Some(16.0));
    assert_eq!((small.gpu_count, small.cpu_cores, small.memory_gb), (1, 4, 16));
    assert_eq!(small.gpu_type.as_deref(), Some("a100"));
    assert_eq!(small.slurm.constraint.as_deref(), Some("gpu80"));
    assert_eq!(specs.models[0].tier, "Large");
    assert_eq!(specs.source, SpecSource::File("resource_specs.yaml".into()));
}

#[test]
fn the_starter_file_has_no_findings() {
    let (specs, warnings) = parse(TEMPLATE).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(specs.partitions.len(), 2);
}

#[test]
fn optional_things_may_be_left_out_or_empty() {
    let (specs, warnings) = parse(
        "time:\nmodels:\npartitions:\n  a:\n    tiers:\n    - {name: 3g.40gb, description: '', max_model_size_gb: ~, \
         gpu_count: 0, gpu_type: '', cpu_cores: 1, memory_gb: 1, slurm: {constraint: '', gres: null}}\n",
    )
    .unwrap();
    assert_eq!(warnings, []);
    assert_eq!(specs.time.default_minutes, 30);
    assert!(specs.partitions[0].default);
    assert_eq!(specs.partitions[0].tiers[0].gpu_type, None);
    assert_eq!(specs.partitions[0].tiers[0].slurm.constraint, None);
}

#[test]
fn anchors_and_merge_keys_work_and_tier_names_may_have_dots() {
    let (specs, _) = parse(
        "partitions:\n  a:\n    tiers:\n    - &base {name: 1g.5gb, description: d, max_model_size_gb: 5, \
         gpu_count: 1, cpu_cores: 1, memory_gb: 1}\n    - <<: *base\n      name: all\n      \
         max_model_size_gb: null\nmodels: {org/m: a.1g.5gb}\n",
    )
    .unwrap();
    assert_eq!(specs.partitions[0].tiers[1].name, "all");
    assert_eq!(specs.partitions[0].tiers[1].max_model_size_gb, None);
    assert_eq!((specs.models[0].partition.as_str(), specs.models[0].tier.as_str()), ("a", "1g.5gb"));
}

#[test]
fn places_are_right_behind_other_line_ends_and_wide_characters() {
    let at = |text: &str| {
        let findings = parse(text).unwrap_err();
        (findings[0].code, findings[0].line, findings[0].column)
    };
    assert_eq!(at("# ü\r\n'ü€𝄞': 1\r\npartitions: {}\r\n"), ("unknown_key", Some(2), Some(1)));
    assert_eq!(at("{'ü€𝄞': 1, xx: 2}").0, "no_partitions");
    assert_eq!(at("time: {default: 1, 'ü€𝄞': 1}\npartitions: 5"), ("unknown_key", Some(1), Some(20)));
    assert_eq!(at("\u{feff}a:\n  b: \"x"), ("unclosed_quote", Some(2), Some(6)));
}

#[test]
fn a_missing_file_gives_the_built_in_tiers_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resource_specs.yaml");

    let loaded = ResourceSpecs::load(&path).unwrap();
    assert_eq!(loaded.specs.source, SpecSource::Defaults);
    let tiers: Vec<_> = loaded.specs.partitions[0]
        .tiers
        .iter()
        .map(|t| (t.name.as_str(), t.max_model_size_gb, t.gpu_count, t.cpu_cores, t.memory_gb))
        .collect();
    assert_eq!(
        tiers,
        [
            ("CPU Only", Some(1.0), 0, 2, 4),
            ("Small", Some(32.0), 1, 4, 8),
            ("Medium", Some(128.0), 2, 6, 16),
            ("Large", None, 4, 8, 32),
        ]
    );
    assert_eq!(ResourceSpecs::load_file(&path).unwrap_err().exit(), Exit::NotFound);

    fs_err::write(&path, "partitions: [\n").unwrap();
    let error = ResourceSpecs::load(&path).unwrap_err();
    assert_eq!(error.exit(), Exit::Invalid);
    assert!(error.to_string().contains("line 1: "), "{error}");
    let ConfigError::Invalid { findings, text, .. } = error else { panic!("not invalid") };
    assert_eq!(findings[0].file.as_deref(), Some(path.as_path()));
    assert_eq!(text, "partitions: [\n");

    fs_err::write(&path, TEMPLATE).unwrap();
    assert_eq!(ResourceSpecs::load(&path).unwrap().specs.source, SpecSource::File(path));
}

#[test]
fn findings_are_shown_with_their_lines() {
    let text = TEMPLATE.replace("        gpu_count: 1\n", "        gpu_cuont: 1\n");
    let mut shown = Vec::new();
    snippet::write(&mut shown, &parse(&text).unwrap_err(), &text).unwrap();
    assert_eq!(
        String::from_utf8(shown).unwrap(),
        "resource_specs.yaml:20:9: error: the tier `Small` has no `gpu_count`\n   \
         20 |       - name: Small\n      |         ^^^^\n\
         resource_specs.yaml:23:9: error: the tier `Small` has no key `gpu_cuont`\n   \
         23 |         gpu_cuont: 1\n      |         ^^^^^^^^^\n\
         hint: did you mean `gpu_count`?\n"
    );
}

#[test]
fn limits_hold() {
    let code = |text: &str| {
        let reader = Reader::new();
        assert_eq!(reader.document(text), None);
        reader.into_findings()[0].code
    };
    assert_eq!(code(&"#".repeat(MAX_BYTES + 1)), "file_too_large");
    assert_eq!(code(&"[".repeat(MAX_BYTES)), "too_deep");
    assert_eq!(code(&"- ".repeat(100_000)), "too_deep");
    assert_eq!(code(&"- a\n".repeat(100_000)), "too_many_values");
    let unknown: Vec<String> = (0..20_000).map(|n| format!("key{n}: 1\n")).collect();
    assert_eq!(parse(&unknown.concat()).unwrap_err().len(), 100);
    // However many warnings there are, an error behind them is one.
    let alike: Vec<String> = (0..256).map(|n| format!("  {}: a.b\n", in_case("org/abcd-model", n))).collect();
    let text = "partitions: {a: {tiers: [{name: b, description: '', max_model_size_gb: ~, gpu_count: 0, \
                cpu_cores: 1, memory_gb: 1}]}}\n";
    let (_, warnings) = parse(&format!("{text}models:\n{}", alike.concat())).unwrap();
    assert_eq!(warnings.len(), 100);
    let findings = parse(&format!("{text}models:\n{}unknown: 1\n", alike.concat())).unwrap_err();
    assert_eq!((findings.len(), findings[100].code), (101, "unknown_key"));
}

/// `word` with the letters in upper case whose bits are set in `bits`.
fn in_case(word: &str, bits: u32) -> String {
    let upper = |(n, c): (u32, char)| if bits & (1 << n) == 0 { c } else { c.to_ascii_uppercase() };
    let letters = word.chars().filter(char::is_ascii_alphabetic);
    (0..).zip(letters).map(upper).collect()
}

/// A file that is nearly valid: some characters of it replaced.
fn damaged() -> impl Strategy<Value = String> {
    let edits = prop::collection::vec(
        (any::<prop::sample::Index>(), 0..4_usize, "[-:&*!|>'\"%@`{}\\[\\],#? \n\tax0\u{feff}é]{0,3}"),
        1..6,
    );
    edits.prop_map(|edits| {
        let mut chars: Vec<char> = TEMPLATE.chars().collect();
        for (index, remove, insert) in edits {
            let start = index.index(chars.len());
            let end = (start + remove).min(chars.len());
            chars.splice(start..end, insert.chars());
        }
        chars.into_iter().collect()
    })
}

/// Whatever the text, there is a result, and all that is reported can be shown.
fn survives(text: &str) {
    let findings = match parse(text) {
        Ok((specs, warnings)) => {
            assert_eq!(specs.partitions.iter().filter(|partition| partition.default).count(), 1);
            warnings
        }
        Err(findings) => {
            assert!(!findings.is_empty());
            findings
        }
    };
    snippet::write(&mut Vec::new(), &findings, text).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn no_yaml_like_text_makes_the_parser_panic(text in "([-:&*!|>'\"%{}\\[\\],#? \n\t]|a|b|1|<<|partitions|tiers|\u{85}|\u{feff}){0,60}") {
        survives(&text);
    }

    #[test]
    fn no_damage_to_a_valid_file_makes_the_parser_panic(text in damaged()) {
        survives(&text);
    }
}

#[test]
fn findings_carry_no_control_characters() {
    for text in [
        "\"a\\e[31m\": 1",
        "models: {\"a\\e\": 1, \"A\\e\": 2, \"a\\e\": 3}\npartitions: {\"p\\e\": 1}",
        "\"k\\n\": *x\n",
    ] {
        for finding in parse(text).unwrap_err() {
            assert!(!finding.message.contains(char::is_control), "{finding:?}");
            assert!(!finding.hint.unwrap_or_default().contains(char::is_control));
        }
    }
}
