//! The whole command line and environment of each engine that comes with Blackfish, against files that were read by people.
//! vLLM needs a GPU to run at all, so here its line can only be compared with what its documentation says.

use bf_core::apptainer::Apptainer;
use bf_core::service;

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
