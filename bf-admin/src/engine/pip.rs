//! Runs pip so that exactly one package, byte by byte the one that is pinned, gets into a folder.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use bf_core::report::{Exit, Failure};
use bf_core::service::Native;

use super::python::{Interpreter, command};

/// Runs pip as `-m pip` does, and ends it, with all that it started, when whoever started it is gone: a killed
/// bf-admin must not leave a pip that writes into a folder that the next run cleans.
const TETHERED: &str = "\
import os, runpy, signal, sys, threading
def wait():
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=wait, daemon=True).start()
sys.argv[0] = 'pip'
runpy.run_module('pip', run_name='__main__', alter_sys=True)
";

/// Installs the package of `native` into `library`. `work` is for pip's own files.
pub(super) fn install(
    interpreter: &Interpreter,
    native: &Native,
    library: &Path,
    work: &Path,
) -> Result<(), Failure> {
    let requirements = work.join("requirements.txt");
    fs_err::write(&requirements, requirement(native))?;
    let mut pip = command(interpreter.pip_of.as_ref().unwrap_or(&interpreter.python));
    pip.args(["-c", TETHERED]);
    if interpreter.pip_of.is_some() {
        pip.arg("--python").arg(&interpreter.python);
    }
    pip.arg("install").arg("--target").arg(library).args([
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
        "--no-compile",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
        "-r",
    ]);
    pip.arg(&requirements).env("TMPDIR", work).env("PYTHONDONTWRITEBYTECODE", "1");
    let child = pip
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| not_started(interpreter, &error));
    let mut child = child?;
    let tether = child.stdin.take();
    let output = child.wait_with_output()?;
    drop(tether);
    if output.status.success() {
        return Ok(());
    }
    Err(failed(native, &String::from_utf8_lossy(&output.stderr)))
}

/// One line for pip: the exact version, and the wheels that may be taken for it.
fn requirement(native: &Native) -> String {
    let hashes: Vec<String> = native.sha256.iter().map(|hash| format!(" --hash=sha256:{hash}")).collect();
    format!("{}=={}{}\n", native.package, native.version, hashes.concat())
}

fn not_started(interpreter: &Interpreter, error: &io::Error) -> Failure {
    let message = format!("{} cannot be started: {error}", interpreter.python.display());
    Failure::new(Exit::Failed, "program_not_started", message)
}

/// What helps when no index has the package.
const REACH: &str = "let PIP_INDEX_URL or HTTPS_PROXY lead to an index, or PIP_FIND_LINKS to a folder with the wheel and \
                     set PIP_NO_INDEX=1";

/// What pip's last words mean.
fn failed(native: &Native, said: &str) -> Failure {
    let wanted = format!("{} {}", native.package, native.version);
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["DO NOT MATCH THE HASHES", "Hashes are required", "hashes are missing"]) {
        let message = format!("the package index offers a {wanted} that is not the one that was checked");
        return Failure::new(Exit::Invalid, "hash_mismatch", message)
            .with_hint("do not install it; compare its SHA-256 with that of the engine's definition");
    }
    if has(&["No space left", "Disk quota exceeded", "[Errno 28]", "[Errno 122]"]) {
        let why = if has(&["Disk quota exceeded", "[Errno 122]"]) { ": quota exceeded" } else { "" };
        return Failure::new(Exit::CannotCreate, "no_space", format!("there is no space for {wanted}{why}"))
            .with_hint("free space on that filesystem and run the command again");
    }
    let no_connection =
        ["NewConnectionError", "ConnectTimeout", "timed out", "ProxyError", "SSLError", "Max retries"];
    if has(&no_connection) {
        let message = format!("no package index can be reached for {wanted}");
        return Failure::new(Exit::Unreachable, "index_unreachable", message).with_hint(REACH);
    }
    // Without retries pip says nothing else of an index that it cannot reach.
    if has(&["No matching distribution", "Could not find a version"]) {
        let message = format!("no package index that can be reached has {wanted} for this machine");
        return Failure::new(Exit::Unreachable, "package_not_found", message).with_hint(REACH);
    }
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].join("; ");
    Failure::new(Exit::Failed, "pip_failed", format!("{wanted} was not installed by pip: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native() -> Native {
        Native { package: "name".into(), version: "1.0".into(), sha256: vec!["a".repeat(64), "b".repeat(64)] }
    }

    #[test]
    fn the_requirement_allows_the_pinned_wheels_only() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        assert_eq!(requirement(&native()), format!("name==1.0 --hash=sha256:{a} --hash=sha256:{b}\n"));
    }

    #[test]
    fn the_last_words_of_pip_become_an_exit_code() {
        let exits = [
            ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", Exit::Invalid),
            (
                "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
                Exit::CannotCreate,
            ),
            (
                "WARNING: Retrying after connection broken by 'NewConnectionError'\nERROR: No matching distribution found",
                Exit::Unreachable,
            ),
            ("ERROR: No matching distribution found for name==1.0", Exit::Unreachable),
            ("something else", Exit::Failed),
        ];
        for (said, exit) in exits {
            assert_eq!(failed(&native(), said).exit, exit, "{said}");
        }
    }
}
