use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bf_core::site::{LockedFile, LockedModel};

use super::*;
use crate::import::SourceFile;
use crate::present::{SourceFacts, Specs};

const SITE: &str =
    "schema: 1\ncache_dir: /c\nengines: {llama_cpp: }\nmodels: [{repo: org/name, path: /dl}]\n";

fn declared(text: &str) -> Declared {
    Declared::parse(text, Path::new("/site/site.yaml")).unwrap().0
}

fn native() -> Native {
    Native { package: "pkg".into(), version: "2".into(), sha256: vec!["a".repeat(64)] }
}

fn interpreter() -> Interpreter {
    Interpreter { python: "/usr/bin/python3.11".into(), pip_of: None, closed: None }
}

fn engine_facts(disk: Disk) -> EngineFacts {
    EngineFacts {
        native: Ok(native()),
        disk,
        python_is_there: true,
        python: None,
        interpreter: Some(Ok(interpreter())),
    }
}

fn source(commit: Option<&str>) -> SourceFacts {
    let file = SourceFile { path: "a.gguf".into(), file: "/dl/a.gguf".into(), bytes: 7 };
    let source = Source { named: "/dl".into(), files: vec![file], skipped: vec![] };
    SourceFacts { source, commit: commit.map(String::from) }
}

fn model_facts(disk: Disk, source: Option<Result<SourceFacts, Failure>>) -> ModelFacts {
    ModelFacts { disk, loadable: false, source }
}

fn locked() -> Locked {
    let mut locked = Locked::default();
    locked.engines.insert(
        "llama_cpp".into(),
        LockedEngine {
            version: "2".into(),
            package: "pkg".into(),
            sha256: vec!["a".repeat(64)],
            python: "/usr/bin/python3.11".into(),
            files: vec![LockedFile { path: "x".into(), sha256: "b".repeat(64), bytes: 1 }],
        },
    );
    locked.models.insert("org/name".into(), LockedModel { commit: "1".repeat(40), files: vec![] });
    locked
}

/// A cache that is as `SITE` declares, with `resource_specs.yaml` beside it.
fn present() -> Present {
    Present {
        specs: Specs {
            source: Some(("/site/resource_specs.yaml".into(), Ok("tiers".into()))),
            published: Some("tiers".into()),
        },
        site: Some(SITE.into()),
        site_is_copy: false,
        toolkit: None,
        images: BTreeMap::new(),
        update_images: BTreeSet::new(),
        engines: BTreeMap::from([("llama_cpp".into(), engine_facts(Disk::Whole))]),
        models: BTreeMap::from([("org/name".parse().unwrap(), model_facts(Disk::Whole, None))]),
    }
}

/// `kind action` of every step, `kind failed code` of those that cannot be done.
fn told(steps: &[Step]) -> Vec<String> {
    let tell = |step: &Step| match &step.task {
        Task::Fail(failure) => format!("{} failed {}", step.action.kind, failure.code),
        _ => format!("{} {}", step.action.kind, step.action.change.name()),
    };
    steps.iter().map(tell).collect()
}

fn planned(change: impl FnOnce(&mut Locked, &mut Present)) -> Vec<String> {
    let (mut locked, mut present) = (locked(), present());
    change(&mut locked, &mut present);
    told(&plan(&declared(SITE), &locked, &present, &[]))
}

#[test]
fn nothing_is_done_when_nothing_drifted() {
    let steps = plan(&declared(SITE), &locked(), &present(), &[]);
    assert_eq!(told(&steps), ["specs keep", "engine keep", "model keep", "site keep"]);
    assert!(steps.iter().all(|step| step.task == Task::Keep && !step.action.changes()));
}

#[test]
fn everything_is_done_in_an_empty_cache_in_order() {
    let mut empty = present();
    empty.specs.published = None;
    empty.site = None;
    empty.engines.insert("llama_cpp".into(), engine_facts(Disk::Absent));
    let absent = model_facts(Disk::Absent, Some(Ok(source(None))));
    empty.models.insert("org/name".parse().unwrap(), absent);
    let steps = plan(&declared(SITE), &Locked::default(), &empty, &[]);
    assert_eq!(told(&steps), ["specs publish", "engine install", "model import", "site publish"]);
    assert_eq!(steps[2].action.bytes, Some(7));
    let only = plan(&declared(SITE), &Locked::default(), &empty, &[Section::Models]);
    assert_eq!(told(&only), ["model import"]);
}

#[test]
fn a_drifted_engine_is_installed_again_and_says_why() {
    type Change = fn(&mut Locked, &mut Present);
    let facts = |present: &mut Present, facts: EngineFacts| {
        present.engines.insert("llama_cpp".into(), facts);
    };
    let cases: [(&str, Change, &str); 5] = [
        (
            "engine install",
            |_, present| {
                present.engines.get_mut("llama_cpp").unwrap().python = Some("/opt/python3.12".into());
            },
            "instead of /usr/bin/python3.11",
        ),
        ("engine install", |locked, _| locked.engines.clear(), "not there yet"),
        (
            "engine install",
            |locked, _| locked.engines.get_mut("llama_cpp").unwrap().version = "1".into(),
            "instead of pkg 1",
        ),
        (
            "engine install",
            |_, present| {
                present.engines.get_mut("llama_cpp").unwrap().disk = Disk::Damaged("lib/x is missing".into());
            },
            "lib/x is missing",
        ),
        (
            "engine install",
            |_, present| present.engines.get_mut("llama_cpp").unwrap().python_is_there = false,
            "/usr/bin/python3.11 is no longer there",
        ),
    ];
    for (expected, change, why) in cases {
        let (mut locked, mut present) = (locked(), present());
        change(&mut locked, &mut present);
        let step = &plan(&declared(SITE), &locked, &present, &[Section::Engines])[0];
        assert_eq!(told(std::slice::from_ref(step)), [expected]);
        assert!(step.action.detail.ends_with(why), "{}", step.action.detail);
    }
    let mut present = present();
    let failure = Failure::new(Exit::Unreachable, "python_not_found", "none");
    facts(&mut present, EngineFacts { interpreter: Some(Err(failure)), ..engine_facts(Disk::Absent) });
    let steps = plan(&declared(SITE), &Locked::default(), &present, &[Section::Engines]);
    assert_eq!(told(&steps), ["engine failed python_not_found"]);
}

#[test]
fn a_version_that_is_not_the_pinned_one_is_refused() {
    let text = SITE.replace("{llama_cpp: }", "{llama_cpp: {version: \"3\"}}");
    let step = &plan(&declared(&text), &locked(), &present(), &[Section::Engines])[0];
    let Task::Fail(failure) = &step.task else { panic!("{step:?}") };
    assert_eq!((failure.code, failure.exit), ("engine_version", Exit::Invalid));
}

#[test]
fn a_model_is_imported_only_when_its_bytes_would_change_or_are_not_whole() {
    let model = |disk, commit: Option<&str>| {
        planned(|_, present| {
            let facts = model_facts(disk, Some(Ok(source(commit))));
            present.models.insert("org/name".parse().unwrap(), facts);
        })
        .remove(2)
    };
    let (same, other) = ("1".repeat(40), "2".repeat(40));
    assert_eq!(model(Disk::Whole, Some(&same)), "model keep");
    assert_eq!(model(Disk::Whole, Some(&other)), "model import");
    assert_eq!(model(Disk::Damaged("x".into()), Some(&same)), "model import");
    assert_eq!(model(Disk::Absent, None), "model import");
}

#[test]
fn a_model_without_a_source_must_be_there() {
    let model = |disk, loadable, in_lock: bool| {
        planned(|locked, present| {
            if !in_lock {
                locked.models.clear();
            }
            let facts = ModelFacts { disk, loadable, source: None };
            present.models.insert("org/name".parse().unwrap(), facts);
        })
        .remove(2)
    };
    assert_eq!(model(Disk::Absent, false, false), "model failed model_not_present");
    assert_eq!(model(Disk::Absent, true, false), "model keep");
    assert_eq!(model(Disk::Damaged("x".into()), true, true), "model failed model_not_present");
}

#[test]
fn the_caches_own_files_are_never_replaced() {
    let steps = planned(|_, present| {
        present.site_is_copy = true;
        present.site = Some("another".into());
        present.specs.published = Some("another".into());
    });
    assert_eq!((steps[0].as_str(), steps[3].as_str()), ("specs keep", "site keep"));
    let steps = planned(|_, present| present.specs.source = None);
    assert_eq!(steps[0], "specs keep");
    let failure = Failure::new(Exit::Invalid, "invalid_specs", "line 1");
    let faulty = Some(("/site/resource_specs.yaml".into(), Err(failure)));
    let steps = planned(|_, present| {
        present.site_is_copy = true;
        present.specs.source = faulty;
    });
    assert_eq!(steps[0], "specs failed invalid_specs");
}
