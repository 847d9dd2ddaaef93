//! Installs a native engine: package and launcher in a staging folder, tried there, then renamed into place.

use std::path::Path;
use std::process::Command;

use bf_core::publish::{Content, Publisher, set_mode};
use bf_core::report::{Exit, Failure};
use bf_core::service::Native;
use bf_core::site::{LockedEngine, LockedFile, Part};
use bf_core::{digest, host};
use walkdir::WalkDir;

use super::{Interpreter, launcher, pip};
use crate::printer::Printer;

/// Installs the engine `id` and gives what site.lock says of it.
pub(crate) fn install(
    publisher: &Publisher<'_>,
    id: &str,
    native: &Native,
    interpreter: &Interpreter,
    printer: Printer,
) -> Result<LockedEngine, Failure> {
    let launcher = launcher::of(native)?;
    let to = publisher.layout().engine(id, &native.version);
    let stage = publisher.stage(Part::Engines)?;
    let (tree, work) = (stage.path().join("engine"), stage.path().join("work"));
    let program = tree.join("bin").join(launcher.name);
    for folder in [&tree.join("bin"), &work] {
        fs_err::create_dir_all(folder)?;
    }
    printer.progress(&format!(
        "{id}: installing {} {} for {}",
        native.package,
        native.version,
        interpreter.python.display()
    ));
    pip::install(interpreter, native, &tree.join("lib"), &work)?;
    fs_err::write(&program, launcher.text(&interpreter.python))?;
    set_mode(&program, 0o755)?;
    tried(id, &program)?;
    let files = files(&tree)?;
    if fs_err::symlink_metadata(&to).is_ok() {
        publisher.remove(Part::Engines, &to)?;
    }
    publisher.publish(&tree, &to, Content::Data)?;
    Ok(LockedEngine {
        version: native.version.clone(),
        package: native.package.clone(),
        sha256: native.sha256.clone(),
        python: interpreter.python.display().to_string(),
        files,
    })
}

/// Loads the package once: a library or an instruction that this machine lacks shows here, not in a user's job.
fn tried(id: &str, program: &Path) -> Result<(), Failure> {
    host::run(Command::new(program).arg("--version")).map(|_| ()).map_err(|error| {
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
        files.push(LockedFile { path: below.to_string_lossy().into_owned(), sha256, bytes });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
