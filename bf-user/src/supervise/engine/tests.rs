//! The whole command line and environment of each engine that comes with Blackfish, against files that were read by people.
//! vLLM needs a GPU to run at all, so here its line can only be compared with what its documentation says.

use bf_core::apptainer::Apptainer;
use bf_core::service;
use bf_core::site::GpuFlag;

use super::*;
use crate::golden;
use crate::job::EngineImage;

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

struct Case {
    engine: &'static str,
    in_container: bool,
    gpus: u32,
    arguments: &'static [&'static str],
}

/// The order that the guardian gets, as text.
fn order(case: &Case) -> String {
    let definition = service::engine(None, case.engine).unwrap();
    let image = case.in_container.then(|| EngineImage {
        reference: definition.image.as_ref().unwrap().reference.to_string(),
        sif: "/shared/cache/images/.store/0123456789ab-gzip.sif".into(),
        digest: "0123456789ab".into(),
        path: definition.image.as_ref().unwrap().path.clone(),
        binds: definition.binds.clone(),
    });
    let native = (!case.in_container).then(|| "/shared/cache/engines/llama_cpp/1".into());
    let mut job = Job::example();
    let weights = if case.engine == "vllm" { "model.safetensors" } else { "model.gguf" };
    job.model.snapshot = format!("/shared/cache/models/models--org--name/snapshots/{SHA}").into();
    job.model.weights = job.model.snapshot.join(weights);
    job.engine = crate::launch::resolved(definition, "1".into(), native, image);
    job.resources.gpus = case.gpus;
    job.arguments = case.arguments.iter().map(ToString::to_string).collect();

    let work = WorkDir::named("/tmp/bf-0a1b2c3d");
    let key = Key::chosen("a-key-that-must-not-be-seen").unwrap();
    let (mut line, mut env) = (command(&job, &work).unwrap(), environment(&job, &key, &work).unwrap());
    if let Some(image) = &job.engine.image {
        let runtime = Apptainer::at("/usr/bin/apptainer");
        line = container::command(&runtime, &job, image, &work, line).unwrap();
        env = container::environment(&runtime, image, &work, env);
        env.insert("PATH".into(), "(that of the job)".into());
    }
    env.remove("TZ");
    env.retain(|name, _| !name.ends_with("VISIBLE_DEVICES"));
    let env = env.iter().map(|(name, value)| format!("{name}={value}\n"));
    line.iter().map(|word| format!("{word}\n")).chain(["\n".into()]).chain(env).collect()
}

#[test]
fn the_command_lines_of_the_engines_are_those_that_were_agreed_on() {
    let cases = [
        ("vllm-1-gpu", Case { engine: "vllm", in_container: true, gpus: 1, arguments: &[] }),
        (
            "vllm-4-gpus",
            Case { engine: "vllm", in_container: true, gpus: 4, arguments: &["--max-model-len", "8192"] },
        ),
        ("llama_cpp", Case { engine: "llama_cpp", in_container: true, gpus: 0, arguments: &[] }),
        (
            "llama_cpp-2-gpus",
            Case { engine: "llama_cpp", in_container: true, gpus: 2, arguments: &["-c", "8192"] },
        ),
        ("llama_cpp-native", Case { engine: "llama_cpp", in_container: false, gpus: 0, arguments: &[] }),
    ];
    for (name, case) in cases {
        let order = order(&case);
        assert!(!order.contains("a-key-that"), "{order}");
        golden::check(&format!("engines/{name}.txt"), &order);
    }
}

#[test]
fn a_path_that_apptainer_would_take_apart_is_refused() {
    let definition = service::engine(None, "vllm").unwrap();
    let mut job = Job::example();
    job.model.snapshot = "/models/a:b/snapshots/1".into();
    let image = EngineImage {
        reference: "r".into(),
        sif: "/i.sif".into(),
        digest: String::new(),
        path: Vec::new(),
        binds: Vec::new(),
    };
    job.engine = crate::launch::resolved(definition, String::new(), None, Some(image.clone()));
    let work = WorkDir::named("/tmp/bf-0a1b2c3d");
    let runtime = Apptainer::at("/usr/bin/apptainer");
    let failure = container::command(&runtime, &job, &image, &work, vec!["x".into()]).unwrap_err();
    assert_eq!(failure.code, "path_not_bindable");
}

#[test]
fn a_container_is_run_as_its_site_wants_it() {
    let image = EngineImage {
        reference: "r".into(),
        sif: "/i.sif".into(),
        digest: String::new(),
        path: Vec::new(),
        binds: vec!["/of/engine".into()],
    };
    let definition = service::engine(None, "llama_cpp").unwrap();
    let own = definition.env.keys().next().unwrap().clone();
    let mut job = Job::example();
    job.engine = crate::launch::resolved(definition, String::new(), None, Some(image.clone()));
    job.resources.gpus = 1;
    job.runtime.binds = vec!["/scratch:/scratch:ro".into()];
    job.runtime.env = [("NCCL_DEBUG".to_owned(), "INFO".to_owned()), (own.clone(), "site".into())].into();
    let work = WorkDir::named("/tmp/bf-0a1b2c3d");
    let runtime = Apptainer::at("/opt/a/bin/apptainer");
    let mut words_with = |flag| {
        job.runtime.gpu_flag = flag;
        container::command(&runtime, &job, &image, &work, vec!["x".into()]).unwrap()
    };
    let words = words_with(GpuFlag::Rocm);
    assert_eq!(words[0], "/opt/a/bin/apptainer");
    assert!(words.contains(&"--rocm".into()) && !words.contains(&"--nv".into()), "{words:?}");
    let binds: Vec<&str> = words
        .windows(2)
        .filter(|two| two[0] == "--bind" && !two[1].contains("bf-0a1b2c3d"))
        .map(|two| two[1].as_str())
        .collect();
    assert_eq!(binds[1..], ["/of/engine", "/scratch:/scratch:ro"]);
    let words = words_with(GpuFlag::None);
    assert!(!words.iter().any(|word| word == "--rocm" || word == "--nv"), "{words:?}");

    let env = environment(&job, &Key::random().unwrap(), &work).unwrap();
    assert_eq!(env["NCCL_DEBUG"], "INFO");
    assert_ne!(env[&own], "site", "the engine's own come first");
}

#[test]
fn an_apptainer_that_is_named_must_be_there() {
    let failure = container::runtime(Some(std::path::Path::new("/no/such/apptainer"))).unwrap_err();
    assert_eq!(failure.code, "apptainer_missing");
    assert!(failure.message.contains("runtime.apptainer"), "{failure}");
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("apptainer");
    fs_err::write(&program, "").unwrap();
    assert_eq!(container::runtime(Some(&program)).unwrap().program(), program);
}
