//! Which Python runs an engine: one that every user of the cache can run, and that has or gets a pip to install with.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use bf_core::host;
use bf_core::report::{Exit, Failure};
use bf_core::settings::Environment;
use bf_core::site::{TrustError, trusted_of};

/// Names that are looked for, the newest first. The packages are for these versions.
const VERSIONS: [(u32, &str); 5] =
    [(14, "python3.14"), (13, "python3.13"), (12, "python3.12"), (11, "python3.11"), (10, "python3.10")];

/// A `#!` line is cut by older kernels behind 127 bytes.
const MAX_PATH: usize = 120;

/// A Python and how to install with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Its real path.
    pub(crate) python: PathBuf,
    /// Another Python whose pip installs for it, where it has none.
    pub(crate) pip_of: Option<PathBuf>,
    /// The part of its path that keeps users out: only of one that was named.
    pub(crate) closed: Option<PathBuf>,
}

/// What a Python says of itself.
struct Said {
    minor: u32,
    /// The program itself, also when a script or link started it.
    program: PathBuf,
    /// A file of its library.
    library: PathBuf,
}

/// The Python that is `declared`, else the newest that everybody who reaches the cache can run.
pub(crate) fn find(
    declared: Option<&Path>,
    cache: &Path,
    environment: &Environment,
) -> Result<Interpreter, Failure> {
    let python = match declared {
        Some(path) => named(path, cache)?,
        None => search(cache, environment)?,
    };
    let pip_of = pip_for(&python, environment)?;
    let closed = closed(&python, 0o005, cache);
    Ok(Interpreter { python, pip_of, closed })
}

/// One that was named: whom it should be open to is then the administrator's choice.
///
/// # Errors
/// One that others could have changed is not even asked for its version.
pub(crate) fn named(path: &Path, cache: &Path) -> Result<PathBuf, Failure> {
    let invalid = |why: String| {
        Failure::new(Exit::Invalid, "python_invalid", format!("the Python {} {why}", path.display()))
    };
    if fs_err::metadata(path).is_ok() {
        may_run(path, cache)?;
    }
    let said = ask(path).map_err(|why| invalid(format!("does not run: {why}")))?;
    if !VERSIONS.iter().any(|(minor, _)| *minor == said.minor) {
        return Err(invalid(format!("is version 3.{}", said.minor)).with_hint("engines need 3.10 to 3.14"));
    }
    shebang_fits(&said.program).map_err(|why| invalid(why.into()))?;
    Ok(said.program)
}

/// Whether nobody could have changed the program, or the link to it, but root, the owner of the cache and we.
fn may_run(path: &Path, cache: &Path) -> Result<(), TrustError> {
    let owner = fs_err::metadata(cache).map_or(0, |metadata| metadata.uid());
    if let Some(folder) = path.parent() {
        trusted_of(owner, folder)?;
    }
    trusted_of(owner, path).map(drop)
}

fn search(cache: &Path, environment: &Environment) -> Result<PathBuf, Failure> {
    let folders = folders(environment);
    let mut rejected: Vec<String> = Vec::new();
    for (minor, name) in VERSIONS {
        for folder in &folders {
            let path = folder.join(name);
            if !path.is_file() {
                continue;
            }
            match suits(&path, minor, cache) {
                Ok(program) => return Ok(program),
                Err(why) => rejected.push(format!("{} {why}", path.display())),
            }
        }
    }
    rejected.dedup();
    let message = match rejected.first() {
        None => "there is no Python 3.10 to 3.14 on this machine".to_owned(),
        Some(first) => format!("no Python 3.10 to 3.14 on this machine can be run by every user: {first}"),
    };
    Err(Failure::new(Exit::Unreachable, "python_not_found", message).with_hint(
        "install python3 and python3-pip of the system, or name a Python as `python` of the engine in site.yaml",
    ))
}

/// The system's places first: what a user's PATH begins with is often his own.
fn folders(environment: &Environment) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")];
    if let Ok(entries) = fs_err::read_dir("/opt") {
        let mut own: Vec<PathBuf> = entries.flatten().map(|entry| entry.path().join("bin")).collect();
        own.sort();
        folders.extend(own);
    }
    folders.extend(search_path(environment));
    folders
}

fn search_path(environment: &Environment) -> Vec<PathBuf> {
    let path = environment.get("PATH").unwrap_or_default();
    std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect()
}

fn suits(path: &Path, minor: u32, cache: &Path) -> Result<PathBuf, String> {
    may_run(path, cache).map_err(|error| format!("is not run: {error}"))?;
    let said = ask(path).map_err(|why| format!("does not run: {why}"))?;
    if said.minor != minor {
        return Err(format!("is version 3.{}", said.minor));
    }
    shebang_fits(&said.program)?;
    for (path, needed) in [(&said.program, 0o005), (&said.library, 0o004)] {
        if let Some(closed) = closed(path, needed, cache) {
            return Err(format!("is closed to others at {}", closed.display()));
        }
    }
    Ok(said.program)
}

fn shebang_fits(program: &Path) -> Result<(), &'static str> {
    let text = program.as_os_str().as_encoded_bytes();
    if text.len() > MAX_PATH || text.iter().any(u8::is_ascii_whitespace) {
        return Err("cannot be named in a `#!` line: its path has blanks or more than 120 bytes");
    }
    Ok(())
}

/// The part of a path that keeps users out, who need the bits `needed` of it. A closed folder that the cache lies in as
/// well keeps nobody out who can reach the cache: so a private cache may use a private Python.
fn closed(path: &Path, needed: u32, cache: &Path) -> Option<PathBuf> {
    let real = fs_err::canonicalize(path).ok()?;
    let mode = |path: &Path| fs_err::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    let above = |folder: &&Path| !cache.starts_with(folder);
    if real.ancestors().skip(1).any(|folder| cache.starts_with(folder) && mode(folder) & 0o011 == 0) {
        return None; // one person's, like the cache
    }
    if mode(&real) & needed != needed {
        return Some(real);
    }
    real.ancestors().skip(1).filter(above).find(|folder| mode(folder) & 0o001 == 0).map(Path::to_owned)
}

/// Runs it to learn what it is. `-I` and `-B`: nothing of the user's is loaded, nothing written.
fn ask(path: &Path) -> Result<Said, String> {
    const QUESTION: &str = "import os, sys\nprint(sys.version_info[0], sys.version_info[1])\n\
                            print(os.path.realpath(sys.executable))\nprint(os.path.realpath(os.__file__))";
    let said = host::run(command(path).args(["-c", QUESTION])).map_err(|error| error.to_string())?;
    let mut lines = said.stdout.lines();
    let minor = lines.next().and_then(|line| line.strip_prefix("3 ")).and_then(|minor| minor.parse().ok());
    match (minor, lines.next(), lines.next()) {
        (Some(minor), Some(program), Some(library)) => {
            Ok(Said { minor, program: program.into(), library: library.into() })
        }
        _ => Err("it is no Python 3".into()),
    }
}

/// A Python, in no environment but the system's.
pub(super) fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-I", "-B"]);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let changes_target = matches!(
            &*text,
            "PIP_TARGET" | "PIP_USER" | "PIP_PREFIX" | "PIP_ROOT" | "PIP_REQUIRE_VIRTUALENV"
        );
        if text.starts_with("PYTHON") || text == "VIRTUAL_ENV" || changes_target {
            command.env_remove(&name);
        }
    }
    command
}

/// Nothing when `python` has a pip; else a Python whose pip can install for another one.
fn pip_for(python: &Path, environment: &Environment) -> Result<Option<PathBuf>, Failure> {
    if pip_version(python).is_some() {
        return Ok(None);
    }
    let names = VERSIONS.iter().map(|(_, name)| *name).chain(["python3"]);
    for name in names {
        for folder in folders(environment) {
            let other = folder.join(name);
            // `--python` came with pip 22.3.
            if other.is_file() && pip_version(&other).is_some_and(|version| version >= (22, 3)) {
                return Ok(Some(other));
            }
        }
    }
    let message =
        format!("{} has no pip, which installs the engine, and no other Python has one", python.display());
    Err(Failure::new(Exit::Unreachable, "pip_not_found", message)
        .with_hint("install python3-pip of the system"))
}

fn pip_version(python: &Path) -> Option<(u32, u32)> {
    let said = host::run(command(python).args(["-m", "pip", "--version"])).ok()?;
    let version = said.stdout.strip_prefix("pip ")?.split_whitespace().next()?.to_owned();
    let mut numbers = version.split('.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_python_below_a_closed_folder_is_for_a_cache_below_the_same_folder_only() {
        let dir = tempfile::tempdir().unwrap();
        chmod(dir.path(), 0o755);
        let root = fs_err::canonicalize(dir.path()).unwrap();
        let home = root.join("home");
        fs_err::create_dir_all(home.join("bin")).unwrap();
        let program = home.join("bin/python3.11");
        fs_err::write(&program, "").unwrap();
        for path in [&home.join("bin"), &program] {
            chmod(path, 0o755);
        }
        chmod(&home, 0o700);
        assert_eq!(closed(&program, 0o005, Path::new("/shared/cache")), Some(home.clone()));
        assert_eq!(closed(&program, 0o005, &home.join("cache")), None);
        chmod(&home, 0o755);
        assert_eq!(closed(&program, 0o005, Path::new("/shared/cache")), None);
        chmod(&program, 0o700);
        assert_eq!(closed(&program, 0o005, Path::new("/shared/cache")), Some(program.clone()));
    }

    #[test]
    fn what_cannot_stand_in_the_first_line_of_a_script_is_refused() {
        assert!(shebang_fits(Path::new("/usr/bin/python3.11")).is_ok());
        assert!(shebang_fits(Path::new("/a b/python3")).is_err());
        assert!(shebang_fits(Path::new(&format!("/{}/python3", "x".repeat(120)))).is_err());
    }

    #[test]
    fn a_program_that_others_could_have_changed_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let (program, ran) = (dir.path().join("python3"), dir.path().join("ran"));
        fs_err::write(&program, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
        chmod(&program, 0o777);
        let failure = named(&program, dir.path()).unwrap_err();
        assert_eq!((failure.code, failure.exit), ("not_trusted", Exit::Permission));
        chmod(&program, 0o755);
        let link = dir.path().join("open/python3");
        fs_err::create_dir(dir.path().join("open")).unwrap();
        fs_err::os::unix::fs::symlink(&program, &link).unwrap();
        chmod(&dir.path().join("open"), 0o777);
        assert_eq!(named(&link, dir.path()).unwrap_err().exit, Exit::Permission);
        assert!(!ran.exists());
    }

    #[test]
    fn a_program_that_is_no_python_is_told_so() {
        let failure = named(Path::new("/bin/true"), Path::new("/nonexistent")).unwrap_err();
        assert_eq!(failure.exit, Exit::Invalid);
        assert!(failure.message.contains("/bin/true"), "{failure}");
    }
}
