//! Installs a native engine: package and launcher in a staging folder, tried there, then renamed into place.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use bf_core::host::CommandError;
use bf_core::publish::{Content, Publisher, set_mode};
use bf_core::report::{Exit, Failure};
use bf_core::service::Native;
use bf_core::site::{LockedEngine, LockedFile, Part};
use bf_core::{digest, host};
use walkdir::WalkDir;

use super::{Interpreter, launcher, pip};

/// The tree of the engine in a staging folder.
const STAGED: &str = "engine";

/// Installs the engine `id` into the folder `stage` and gives what site.lock will say of it.
pub(crate) fn make(
    id: &str,
    native: &Native,
    interpreter: &Interpreter,
    stage: &Path,
    tell: &dyn Fn(&str),
) -> Result<LockedEngine, Failure> {
    let launcher = launcher::of(native)?;
    let (tree, work) = (stage.join(STAGED), stage.join("work"));
    let program = tree.join("bin").join(launcher.name);
    for folder in [&tree.join("bin"), &work] {
        fs_err::create_dir_all(folder)?;
    }
    let python = interpreter.python.display();
    tell(&format!("installing {} {} for {python}", native.package, native.version));
    pip::install(interpreter, native, &tree.join("lib"), &work)?;
    fs_err::write(&program, launcher.text(&interpreter.python))?;
    set_mode(&program, 0o755)?;
    tried(id, &program)?;
    Ok(LockedEngine {
        version: native.version.clone(),
        package: native.package.clone(),
        sha256: native.sha256.clone(),
        python: interpreter.python.display().to_string(),
        files: files(&tree)?,
    })
}

/// Publishes what [`make`] has made in `stage`.
pub(crate) fn publish(
    publisher: &Publisher<'_>,
    id: &str,
    stage: &Path,
    engine: &LockedEngine,
) -> Result<(), Failure> {
    let to = publisher.layout().engine(id, &engine.version);
    if fs_err::symlink_metadata(&to).is_ok() {
        publisher.remove(Part::Engines, &to)?;
    }
    Ok(publisher.publish(&stage.join(STAGED), &to, Content::Data)?)
}

/// Loads the package once: a library or an instruction that this machine lacks shows here, not in a user's job.
fn tried(id: &str, program: &Path) -> Result<(), Failure> {
    let mut tries = 0..50;
    let result = loop {
        match host::run(Command::new(program).arg("--version")) {
            // What another thread started a moment ago may still have it open for writing, as we had.
            Err(CommandError::NotStarted { source, .. })
                if source.kind() == ErrorKind::ExecutableFileBusy && tries.next().is_some() =>
            {
                thread::sleep(Duration::from_millis(100));
            }
            result => break result,
        }
    };
    result.map(|_| ()).map_err(|error| {
        Failure::new(
            Exit::Failed,
            "engine_does_not_start",
            format!("the engine {id} does not start here: {error}"),
        )
        .with_hint("is this machine older than those that the package is made for? Nothing was published")
    })
}

/// Every file of a tree with its digest, sorted by path.
fn files(tree: &Path) -> Result<Vec<LockedFile>, Failure> {
    let mut files = Vec::new();
    for entry in WalkDir::new(tree).sort_by_file_name() {
        let entry = entry.map_err(std::io::Error::from)?;
        if entry.file_type().is_dir() {
            continue;
        }
        let below = entry.path().strip_prefix(tree).unwrap_or(entry.path());
        let (sha256, bytes) = digest::of_file(entry.path())?;
        files.push(LockedFile { path: below.to_string_lossy().into_owned(), sha256, bytes, blob: None });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
