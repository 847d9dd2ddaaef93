//! An engine in its container: Apptainer's command line, which isolates it from the host but for what it needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bf_core::apptainer::Apptainer;
use bf_core::report::{Exit, Failure};

use super::workdir::WorkDir;
use crate::job::{EngineImage, Job};

/// Where Apptainer lets a container's own PATH grow.
const APPEND_PATH: &str = "APPEND_PATH";

/// The command that runs `command` in the image. Nothing of the host is seen but the model, read-only, and the work folder: at
/// the same paths as outside, so that one definition of an engine serves both.
pub(super) fn command(
    runtime: &Apptainer,
    job: &Job,
    image: &EngineImage,
    work: &WorkDir,
    command: Vec<String>,
) -> Result<Vec<String>, Failure> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut words = vec![text(runtime.program()), "--silent".into(), "exec".into()];
    words.extend(["--containall", "--no-eval"].map(String::from));
    if job.resources.gpus > 0 {
        words.extend(job.runtime.gpu_flag.option().map(String::from));
    }
    // /tmp in the container is else a small piece of memory.
    words.extend(["--workdir".into(), text(&work.scratch())]);
    words.extend(["--home".into(), format!("{0}:{0}", text(&bindable(work.home())?))]);
    words.extend(["--pwd".into(), text(&work.home())]);
    let model = bindable(model_folder(job))?;
    let mut binds = vec![
        format!("{0}:{0}", text(&bindable(work.path().to_owned())?)),
        format!("{0}:{0}:ro", text(&model)),
    ];
    binds.extend(image.binds.iter().chain(&job.runtime.binds).cloned());
    for bind in binds {
        words.extend(["--bind".into(), bind]);
    }
    words.push(text(&image.sif));
    words.extend(command);
    Ok(words)
}

/// The environment of Apptainer itself: the engine's, under the names that reach the container.
pub(super) fn environment(
    runtime: &Apptainer,
    image: &EngineImage,
    work: &WorkDir,
    engine: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> =
        engine.into_iter().map(|(name, value)| (runtime.variable(&name), value)).collect();
    if !image.path.is_empty() {
        env.insert(runtime.variable(APPEND_PATH), image.path.join(":"));
    }
    // For Apptainer: where its helpers are, and a place for what it likes to keep.
    env.insert("HOME".into(), work.home().to_string_lossy().into_owned());
    env.insert("PATH".into(), std::env::var("PATH").unwrap_or_else(|_| super::engine::PATH.into()));
    env
}

/// The snapshot's links lead to blobs beside it: the container must see the whole folder of the model.
fn model_folder(job: &Job) -> PathBuf {
    let snapshot = &job.model.snapshot;
    let is_cache = snapshot.parent().is_some_and(|folder| folder.ends_with("snapshots"));
    let folder = if is_cache { snapshot.ancestors().nth(2) } else { None };
    folder.unwrap_or(snapshot).to_owned()
}

/// Apptainer reads `:` and `,` in `--bind` as its own.
fn bindable(path: PathBuf) -> Result<PathBuf, Failure> {
    if path.to_string_lossy().contains([':', ',']) {
        let message =
            format!("{} cannot be shown to a container: it holds a colon or a comma", path.display());
        return Err(Failure::new(Exit::Invalid, "path_not_bindable", message)
            .with_hint("use a path without these characters"));
    }
    Ok(path)
}

/// Apptainer on this node: the one that the site names, else the first in PATH.
pub(crate) fn runtime(named: Option<&Path>) -> Result<Apptainer, Failure> {
    let missing = |what: String, hint: &str| {
        let message = format!("there is no Apptainer on {}: {what}", bf_core::host::name());
        Failure::new(Exit::NotFound, "apptainer_missing", message).with_hint(hint)
    };
    if let Some(program) = named {
        return if program.is_file() {
            Ok(Apptainer::at(program))
        } else {
            let what =
                format!("{} is not there (`runtime.apptainer` of the site's site.yaml)", program.display());
            Err(missing(what, "tell an administrator: it must be the same on all nodes"))
        };
    }
    let path = std::env::var("PATH").unwrap_or_else(|_| super::engine::PATH.into());
    Apptainer::find(&path).ok_or_else(|| {
        missing(
            "it is not in PATH".into(),
            "tell an administrator; `runtime` in site.yaml can name it, or the module that brings it",
        )
    })
}
