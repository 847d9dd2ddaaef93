//! site.yaml against noise: whatever the text, there is a result, it can be shown, and it costs in proportion.

use std::path::Path;

use proptest::prelude::*;

use super::{Declared, SiteRules};
use crate::spec::snippet;

const FULL: &str = "schema: 1\ncache_dir: /shared/cache\ngroup: hpc\nfile_mode: 0644\nimages:\n  a: {ref: ghcr.io/o/n:1}\n  \
    llama_cpp:\nregistries:\n  a.io: {mirrors: [\"https://m/p\"], plain_http: true, ca: /a}\nmodels:\n  - repo: o/n\n    path: /d\n    format: gguf\nengines: {llama_cpp: {python: /usr/bin/python3}}\n\
    slurm:\n  gpu_request: gpus\n  memory: mem-per-gpu\n  directives: [--exclusive, \"--nice=5\"]\n  account_required: true\n  \
    clusters: [a]\nruntime:\n  apptainer: /usr/bin/apptainer\n  modules: [a/1]\n  gpu_flag: rocm\n  binds: [\"/a:/b:ro\"]\n  \
    env: {A: b}\n  proxy: http://p:3128\nnetwork: {ports: 8000-8999, interface: ib0, hostname: \"{node}.x\"}\npolicy:\n  \
    idle_timeout: 30m\n  max_idle_timeout: 1:00:00\n  max_services: 3\n  allow_local: false\n  mounts: [/m]\n\
    retention: {keep_images: 1, keep_revisions: 1, grace_days: 1}\n\
    tigerflow: {version: 1.2.0, ml: true, python: /usr/bin/python3, keep: 2}\nondemand: {apps_dir: /a, name: b, clusters: [c], \
    session: {partition: p, cpus: 1, memory_gb: 2, mode: same_job}}\n";

/// More than this is shown of no text, however it is written: 100 errors and 100 warnings, each with its place and hint.
const MOST_SHOWN: usize = 200 * 2_000;

fn survives(text: &str) {
    let path = Path::new("/s/site.yaml");
    let findings = match Declared::parse(text, path) {
        Ok((declared, warnings)) => {
            assert!(declared.cache_dir.is_absolute());
            assert!(SiteRules::parse(text, path).is_ok(), "who starts a service reads less of it");
            warnings
        }
        Err(findings) => {
            assert!(!findings.is_empty());
            findings
        }
    };
    let mut shown = Vec::new();
    snippet::write(&mut shown, &findings, text).unwrap();
    assert!(shown.len() <= MOST_SHOWN, "{}", shown.len());
    assert!(!String::from_utf8(shown).unwrap().chars().any(|c| c.is_control() && c != '\n'));
}

fn damaged() -> impl Strategy<Value = String> {
    let edits = prop::collection::vec(
        (any::<prop::sample::Index>(), 0..6_usize, "[-:&*!|>'\"%@`{}\\[\\],#? \n\tax0.$~/\u{feff}é]{0,4}"),
        1..6,
    );
    edits.prop_map(|edits| {
        let mut chars: Vec<char> = FULL.chars().collect();
        for (index, remove, insert) in edits {
            let start = index.index(chars.len());
            chars.splice(start..(start + remove).min(chars.len()), insert.chars());
        }
        chars.into_iter().collect()
    })
}

/// Documents that are small and mean much: anchors, aliases and merge keys, nested in each other.
fn bombs() -> impl Strategy<Value = String> {
    (1..40_usize, 1..60_usize, 0..2_000_usize, "[a-z&*<: ]{0,8}").prop_map(|(levels, fan, long, noise)| {
        let mut text = format!("a0: &a0 \"{}\"\n", "x".repeat(long));
        for level in 1..levels {
            let items = vec![format!("*a{}", level - 1); fan].join(", ");
            let line = match level % 3 {
                0 => format!("a{level}: &a{level} {{k: [{items}], <<: *a{}}}\n", level - 1),
                _ => format!("a{level}: &a{level} [{items}]\n"),
            };
            text.push_str(&line);
        }
        text + &noise
    })
}

#[test]
fn the_full_file_is_valid_and_so_are_its_rules() {
    let (declared, warnings) = Declared::parse(FULL, Path::new("/s/site.yaml")).unwrap();
    let of = |code: &str| warnings.iter().filter(|warning| warning.code == code).count();
    assert_eq!((of("not_obeyed_yet"), of("not_provided_yet"), warnings.len()), (4, 2, 6), "{warnings:?}");
    assert_eq!(declared.rules.policy.max_idle_timeout, Some(3600));
    survives(FULL);
}

fn numbered(line: impl Fn(u32) -> String) -> String {
    (0..40_000).map(line).collect::<Vec<_>>().concat()
}

/// What costs most of all that is small enough to be read.
#[test]
fn what_is_large_or_deep_ends_soon() {
    let begun = std::time::Instant::now();
    let long = "x".repeat(500_000);
    for text in [
        format!("a: &a {long}\nb: [{}]\n", "*a, ".repeat(100_000)),
        format!("{long}: 1\n{long}: 2\n"),
        format!("models: [{}]\n", format!("{{repo: &r {long}}}, ") + &"{repo: *r}, ".repeat(40_000)),
        format!("engines: {{{}}}\n", numbered(|n| format!("{n}/: 1, "))),
        numbered(|n| format!("k{n}: 1\n")),
        "a: ".repeat(300_000),
        "[".repeat(1_000_000),
        "{a: ".repeat(250_000),
        "- ".repeat(500_000),
        "? ".repeat(500_000),
        "&a ".repeat(300_000),
        "*a ".repeat(300_000),
        "'".repeat(1_000_000),
        "\n".repeat(1_000_000),
        format!("x{}", ":".repeat(1_000_000)),
        format!("a: |\n{}", " ".repeat(1_000_000)),
        format!("&x [{}]", "&y [".repeat(60)) + &long,
    ] {
        survives(&text);
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn no_yaml_like_text_makes_the_reader_panic(text in "([-:&*!|>'\"%{}\\[\\],#? \n\t]|a|1|<<|schema|cache_dir|slurm|policy|binds|\u{85}|\u{feff}){0,60}") {
        survives(&text);
    }

    #[test]
    fn no_damage_to_a_valid_file_makes_the_reader_panic(text in damaged()) {
        survives(&text);
    }

    #[test]
    fn no_bomb_goes_off(text in bombs()) {
        survives(&text);
    }

    #[test]
    fn bytes_are_text_or_a_finding(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(text) = crate::spec::parse::read_stream(bytes.as_slice()) {
            survives(&text);
        }
    }
}
