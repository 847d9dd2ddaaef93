//! The rules, one by one.

use std::path::Path;

use super::{Choice, Source, TierError, find, recommend};
use crate::report::{Exit, Explain};
use crate::spec::ResourceSpecs;

const SPECS: &str = "
partitions:
  gpu:
    default: true
    tiers:
      # Not in the order of their limits, on purpose.
      - {name: Any, description: d, max_model_size_gb: null, gpu_count: 4, cpu_cores: 1, memory_gb: 1}
      - {name: Medium, description: d, max_model_size_gb: 80, gpu_count: 2, cpu_cores: 1, memory_gb: 1}
      - {name: Small, description: d, max_model_size_gb: 16, gpu_count: 1, cpu_cores: 1, memory_gb: 1}
  cpu:
    tiers:
      - {name: CPU Only, description: d, max_model_size_gb: 2, gpu_count: 0, cpu_cores: 1, memory_gb: 1}
      - {name: v1.5, description: d, max_model_size_gb: 1, gpu_count: 0, cpu_cores: 1, memory_gb: 1}
models:
  org/large: gpu.Any
  org/dotted: cpu.v1.5
";

fn specs() -> ResourceSpecs {
    ResourceSpecs::parse(SPECS, Path::new("specs.yaml")).unwrap().0
}

fn choose(model: Option<&str>, size_gb: Option<f64>, partition: Option<&str>) -> Choice {
    recommend(&specs(), model, size_gb, partition).unwrap()
}

fn brief(choice: &Choice) -> (Option<&str>, Option<&str>, Source) {
    (choice.partition.as_deref(), choice.tier.as_deref(), choice.source)
}

#[test]
fn the_smallest_limit_that_exceeds_the_size_wins_whatever_the_order() {
    let tier = |size| choose(None, Some(size), None).tier.unwrap();
    assert_eq!(tier(0.0), "Small");
    assert_eq!(tier(15.99), "Small");
    // The limit must exceed the size: equal is too small.
    assert_eq!(tier(16.0), "Medium");
    assert_eq!(tier(79.0), "Medium");
    assert_eq!(
        brief(&choose(None, Some(1.0), Some("cpu"))),
        (Some("cpu"), Some("CPU Only"), Source::SizeMatch)
    );
}

#[test]
fn the_tier_without_a_limit_takes_the_rest() {
    assert_eq!(brief(&choose(None, Some(80.0), None)), (Some("gpu"), Some("Any"), Source::CatchAll));
}

#[test]
fn too_large_for_every_tier_is_no_match() {
    let choice = choose(None, Some(2.0), Some("cpu"));
    assert_eq!(brief(&choice), (Some("cpu"), None, Source::NoMatch));
    assert!(choice.reason.contains("--tier"), "{}", choice.reason);
}

#[test]
fn an_unknown_size_is_never_small() {
    let choice = choose(Some("org/other"), None, None);
    assert_eq!(brief(&choice), (Some("gpu"), None, Source::UnknownSize));
    assert!(choice.reason.contains("--size-gb"), "{}", choice.reason);
}

#[test]
fn an_override_needs_no_size_and_sets_the_partition() {
    let expected = (Some("cpu"), Some("v1.5"), Source::ModelOverride);
    assert_eq!(brief(&choose(Some("org/dotted"), None, None)), expected);
    assert_eq!(brief(&choose(Some("org/dotted"), Some(500.0), Some("cpu"))), expected);
    // Names are matched exactly.
    assert_eq!(choose(Some("Org/dotted"), Some(1.0), None).source, Source::SizeMatch);
}

#[test]
fn an_override_gives_way_to_another_partition_and_says_so() {
    let choice = choose(Some("org/large"), Some(0.5), Some("cpu"));
    assert_eq!(brief(&choice), (Some("cpu"), Some("v1.5"), Source::SizeMatch));
    assert!(choice.reason.contains("`gpu.Any`, is not used as `cpu` was asked for"), "{}", choice.reason);
}

#[test]
fn the_result_is_written_as_documented() {
    let json = serde_json::to_value(choose(Some("org/large"), None, None)).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "partition": "gpu",
            "tier": "Any",
            "source": "model_override",
            "reason": "the administrator chose `gpu.Any` for `org/large`",
        })
    );
}

#[test]
fn an_unknown_partition_is_refused_with_those_there_are() {
    let error = recommend(&specs(), None, Some(1.0), Some("gpus")).unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound);
    assert_eq!(error.hint().unwrap(), "did you mean `gpu`? There are: gpu, cpu");
}

#[test]
fn sizes_that_no_model_has_are_refused() {
    for size in [-1.0, f64::NAN, f64::INFINITY] {
        let error = recommend(&specs(), None, Some(size), None).unwrap_err();
        assert!(matches!(error, TierError::InvalidSize { .. }));
        assert_eq!(error.exit(), Exit::Usage);
    }
}

#[test]
fn the_built_in_tiers_leave_the_partition_to_slurm_or_the_user() {
    let specs = ResourceSpecs::defaults();
    let choice = recommend(&specs, None, Some(20.0), None).unwrap();
    assert_eq!(brief(&choice), (None, Some("Small"), Source::SizeMatch));
    assert!(choice.reason.contains("resource_specs.yaml"), "{}", choice.reason);
    let choice = recommend(&specs, None, Some(200.0), Some("a100")).unwrap();
    assert_eq!(brief(&choice), (Some("a100"), Some("Large"), Source::CatchAll));
    assert_eq!(find(&specs, "default.Small", None).unwrap().1.gpu_count, 1);
    assert_eq!(find(&specs, "CPU Only", Some("a100")).unwrap().1.gpu_count, 0);
}

#[test]
fn a_tier_is_found_by_its_name_alone_or_with_its_partition() {
    let specs = specs();
    let found = |name, partition| {
        find(&specs, name, partition).map(|(partition, tier)| format!("{}/{}", partition.label(), tier.name))
    };
    assert_eq!(found("Small", None).unwrap(), "gpu/Small");
    assert_eq!(found("v1.5", Some("cpu")).unwrap(), "cpu/v1.5");
    assert_eq!(found("cpu.v1.5", None).unwrap(), "cpu/v1.5");
    assert_eq!(found("cpu.CPU Only", Some("cpu")).unwrap(), "cpu/CPU Only");

    let error = found("smal", None).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("tier_not_found", Exit::NotFound));
    assert_eq!(error.hint().unwrap(), "did you mean `Small`? There are: Any, Medium, Small");
    let error = found("CPU Only", None).unwrap_err();
    assert_eq!(error.hint().unwrap(), "another partition has it: write `cpu.CPU Only`");
    assert_eq!(
        found("v1.5", None).unwrap_err().hint().unwrap(),
        "another partition has it: write `cpu.v1.5`"
    );
    assert_eq!(found("cpu.v2", None).unwrap_err().to_string(), "the partition `cpu` has no tier `v2`");
    assert_eq!(found("gpu.Small", Some("cpu")).unwrap_err().exit(), Exit::Usage);
    assert_eq!(found("Small", Some("tpu")).unwrap_err().code(), "partition_not_found");
}
