use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bf_core::acquire::Outline;
use bf_core::hub::Listing;
use bf_core::model::WeightFormat;
use bf_core::model::store::{NewFile, Take};
use bf_core::report::Exit;
use bf_core::site::{LockedEngine, LockedFile, LockedModel};

use bf_core::image::Reference;

use super::*;
use crate::drift::Readers;
use crate::image::ImageFacts;
use crate::import::{Download, Files};
use crate::present::{Disk, EngineFacts, ModelFacts, SourceFacts, Specs};
use crate::toolkit::ToolkitFacts;

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
    let from = "/dl/a.gguf".into();
    let file = NewFile { path: "a.gguf".into(), from, bytes: 7, blob: None, sha256: None };
    let source = Files {
        named: "/dl".into(),
        root: "/dl".into(),
        files: vec![file],
        skipped: vec![],
        pickle: vec![],
        history: None,
        take: Take::Copy,
    };
    let is_locked = commit.is_some_and(|commit| commit == "1".repeat(40));
    SourceFacts { source, needed: 7, commit: commit.map(String::from), is_locked }
}

fn model_facts(disk: Disk, source: Option<Result<SourceFacts, Failure>>) -> ModelFacts {
    ModelFacts {
        disk,
        loadable: false,
        is_asked: true,
        update: false,
        download: None,
        source,
        readers: Readers::default(),
    }
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
            files: vec![LockedFile { path: "x".into(), sha256: "b".repeat(64), bytes: 1, blob: None }],
        },
    );
    locked.models.insert("org/name".into(), LockedModel { commit: "1".repeat(40), ..LockedModel::default() });
    locked
}

/// A cache that is as `SITE` declares, with `resource_specs.yaml` beside it.
fn present() -> Present {
    Present {
        drift: Vec::new(),
        closed: Vec::new(),
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
        _ if step.action.reason == Some(Skip::NotSelected) => format!("{} left out", step.action.kind),
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
    assert_eq!(told(&steps), ["specs keep", "model keep", "engine keep", "site keep"]);
    assert!(steps.iter().all(|step| step.task == Task::Keep && !step.action.changes()));
    assert!(steps.iter().all(|step| step.action.reason == Some(Skip::Unchanged)));
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
    assert_eq!(told(&steps), ["specs publish", "model import", "engine install", "site publish"]);
    assert_eq!(steps[1].action.bytes, Some(7));
    let only = plan(&declared(SITE), &Locked::default(), &empty, &[Section::Models]);
    assert_eq!(
        told(&only),
        ["toolkit left out", "specs left out", "model import", "engine left out", "site left out"]
    );
}

#[test]
fn what_this_version_cannot_provide_is_skipped_whatever_is_selected() {
    let text = format!("{SITE}tigerflow: {{ml: true}}\nondemand: {{name: bf}}\n");
    for only in [&[][..], &[Section::Models]] {
        let steps = plan(&declared(&text), &locked(), &present(), only);
        let later: Vec<_> = steps
            .iter()
            .filter(|step| step.action.reason == Some(Skip::NotProvidedYet))
            .map(|step| (step.action.kind, step.action.name.as_str(), step.action.state))
            .collect();
        let expected = [("tigerflow", "tigerflow", Outcome::Skipped), ("ondemand", "bf", Outcome::Skipped)];
        assert_eq!(later, expected);
    }
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
        let steps = plan(&declared(SITE), &locked, &present, &[Section::Engines]);
        let step = steps.iter().find(|step| step.action.kind == "engine").unwrap();
        assert_eq!(told(std::slice::from_ref(step)), [expected]);
        assert!(step.action.detail.ends_with(why), "{}", step.action.detail);
    }
    let mut present = present();
    let failure = Failure::new(Exit::Unreachable, "python_not_found", "none");
    facts(&mut present, EngineFacts { interpreter: Some(Err(failure)), ..engine_facts(Disk::Absent) });
    let steps = plan(&declared(SITE), &Locked::default(), &present, &[Section::Engines]);
    assert!(told(&steps).contains(&"engine failed python_not_found".to_owned()), "{steps:?}");
}

#[test]
fn a_version_that_is_not_the_pinned_one_is_refused() {
    let text = SITE.replace("{llama_cpp: }", "{llama_cpp: {version: \"3\"}}");
    let steps = plan(&declared(&text), &locked(), &present(), &[Section::Engines]);
    let step = steps.iter().find(|step| step.action.kind == "engine").unwrap();
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
        .remove(1)
    };
    let (same, other) = ("1".repeat(40), "2".repeat(40));
    assert_eq!(model(Disk::Whole, Some(&same)), "model keep");
    assert_eq!(model(Disk::Whole, Some(&other)), "model import");
    assert_eq!(model(Disk::Damaged("x".into()), Some(&same)), "model import");
    assert_eq!(model(Disk::Absent, None), "model import");
}

fn download() -> Download {
    let listing = Listing {
        id: "org/name".parse().unwrap(),
        renamed_from: None,
        commit: "3".repeat(40),
        files: vec![],
        gated: false,
        private: false,
        license: None,
        license_link: None,
        pipeline_tag: None,
        library_name: None,
        tags: vec![],
        parameters: BTreeMap::new(),
    };
    Download::of(Outline {
        listing,
        revision: None,
        files: vec![],
        format: WeightFormat::Gguf,
        quantisation: None,
        alternatives: vec![],
        left_out: vec![],
        there: BTreeSet::new(),
        begun: 0,
    })
}

#[test]
fn a_model_without_a_path_comes_from_the_hub_unless_it_is_there() {
    let model = |disk, loadable, in_lock: bool| {
        planned(|locked, present| {
            if !in_lock {
                locked.models.clear();
            }
            let facts =
                ModelFacts { loadable, download: Some(Ok(Box::new(download()))), ..model_facts(disk, None) };
            present.models.insert("org/name".parse().unwrap(), facts);
        })
        .remove(1)
    };
    assert_eq!(model(Disk::Absent, false, false), "model download");
    assert_eq!(model(Disk::Absent, true, false), "model keep");
    assert_eq!(model(Disk::Whole, true, true), "model keep");
    assert_eq!(model(Disk::Damaged("x".into()), true, true), "model download");
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

fn image_facts(own: Option<(&str, &str)>, disk: Disk) -> ImageFacts {
    let locked = |reference: &str| {
        let reference: Reference = reference.parse().unwrap();
        LockedImage {
            digest: reference.digest().cloned(),
            sif: format!("images/{}", reference.sif_name()),
            reference: Some(reference.unpinned()),
            sha256: "c".repeat(64),
            bytes: 1,
            compression: "gzip".into(),
            partition_sha256: None,
            metadata_sha256: None,
        }
    };
    let maker = Failure::new(Exit::Unreachable, "apptainer_not_found", "none");
    ImageFacts {
        compression: None,
        wanted: Ok("q.io/a:1".parse().unwrap()),
        own: own.map(|(name, reference)| (name.to_owned(), locked(reference))),
        disk,
        maker: Some(Err(maker)),
        note: None,
        way: Ok(()),
    }
}

#[test]
fn an_image_is_pulled_only_when_it_is_another_one_or_not_whole() {
    let same = Some(("mine", "q.io/a:1"));
    let step = |facts: &ImageFacts, update| told(&[images::step("mine", facts, update)]).remove(0);
    assert_eq!(step(&image_facts(same, Disk::Whole), false), "image keep");
    // With a maker that there is not, a pull is a failure that says so.
    let failed = "image failed apptainer_not_found";
    assert_eq!(step(&image_facts(same, Disk::Whole), true), failed);
    assert_eq!(step(&image_facts(None, Disk::Absent), false), failed);
    assert_eq!(step(&image_facts(Some(("mine", "q.io/a:2")), Disk::Whole), false), failed);
    assert_eq!(step(&image_facts(same, Disk::Damaged("x".into())), false), failed);
    // Without one where none is needed.
    assert_eq!(step(&image_facts(same, Disk::Drifted("x".into())), false), "image link");
    assert_eq!(step(&image_facts(Some(("other", "q.io/a:1")), Disk::Whole), false), "image link");
    let digest = format!("sha256:{}", "a1".repeat(32));
    let mut pinned = image_facts(Some(("mine", &format!("q.io/a:1@{digest}"))), Disk::Whole);
    assert_eq!(step(&pinned, false), "image keep", "its tag is what is asked for");
    pinned.wanted = Ok(format!("q.io/a:1@{digest}").parse().unwrap());
    assert_eq!(step(&pinned, true), "image keep", "a digest has nothing newer");
    pinned.own = image_facts(same, Disk::Whole).own;
    assert_eq!(step(&pinned, false), failed, "nobody knows that it is this digest");
    // The lock has a digest of every image that was pulled: only site.yaml pins one.
    let own = |wanted: &str| {
        let mut facts = image_facts(Some(("mine", &format!("q.io/a:1@{digest}"))), Disk::Whole);
        facts.own.as_mut().unwrap().1.digest = Some(digest.parse().unwrap());
        facts.wanted = Ok(wanted.parse().unwrap());
        images::step("mine", &facts, false).action.detail
    };
    assert_eq!(own("q.io/a:1"), "a1a1a1a1a1a1");
    assert_eq!(own(&format!("q.io/a:1@{digest}")), "a1a1a1a1a1a1, pinned");
    let mut in_the_way = image_facts(None, Disk::Absent);
    in_the_way.way = Err(Failure::new(Exit::Invalid, "link_in_the_way", "x"));
    assert_eq!(step(&in_the_way, false), "image failed link_in_the_way");
}

#[test]
fn the_toolkit_is_what_lies_beside_us() {
    let file = |arch: &str, sha256: &str| LockedFile {
        path: format!("toolkit/{}/{arch}/bf-user", crate::toolkit::VERSION),
        sha256: sha256.into(),
        bytes: 1,
        blob: None,
    };
    let arch = crate::toolkit::ARCH;
    let whole = ToolkitFacts {
        folder: "/bin".into(),
        beside: Ok(Some(Beside { path: "/bin/bf-user".into(), sha256: "a".into(), bytes: 1 })),
        own: Some(file(arch, "a")),
        disk: Disk::Whole,
        linked: Some(file(arch, "a")),
        link_fault: None,
        way: Ok(()),
    };
    let step = |change: fn(&mut ToolkitFacts)| {
        let mut facts = whole.clone();
        change(&mut facts);
        toolkit::step(&facts)
    };
    let word = |change: fn(&mut ToolkitFacts)| told(&[step(change)]).remove(0);
    assert_eq!(word(|_| ()), "toolkit keep");
    assert_eq!(word(|facts| facts.own.as_mut().unwrap().sha256 = "b".into()), "toolkit publish");
    assert_eq!(word(|facts| facts.disk = Disk::Absent), "toolkit publish");
    assert_eq!(word(|facts| facts.link_fault = Some("x".into())), "toolkit link");
    assert_eq!(word(|facts| facts.beside = Ok(None)), "toolkit keep");
    let without = |facts: &mut ToolkitFacts| {
        facts.beside = Ok(None);
        facts.disk = Disk::Damaged("x".into());
    };
    assert_eq!(word(without), "toolkit failed toolkit_not_found");
    let elsewhere = step(|facts| {
        facts.own = None;
        facts.linked.as_mut().unwrap().path = "toolkit/0/other64/bf-user".into();
    });
    assert!(matches!(elsewhere.task, Task::Toolkit(_, false)), "the link to another architecture stays");
}
