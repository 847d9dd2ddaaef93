//! What this machine can do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bf_core::apptainer::Apptainer;
use bf_core::host::{self, Limits};
use bf_core::publish::own_folder;
use bf_core::report::Failure;
use bf_core::settings::Environment;

use super::trial::{Trial, version};
use super::{Check, Site, State, tried_here};
use crate::image::{Tried, plain};

/// A container that starts takes a second; on a loaded login node some more.
const LIMITS: Limits = Limits { time: Duration::from_mins(1), output: 1024 * 1024 };
/// What to do where zstd does not mount.
pub(super) const MOUNT_HINT: &str = "images are compressed with gzip meanwhile; Apptainer 1.1 or newer with squashfuse, or a kernel with CONFIG_SQUASHFS_ZSTD, mounts zstd";

/// Looks at this machine. Where there is Slurm, jobs run elsewhere: then what is missing here is no fault.
pub(super) fn look(
    site: &Site,
    environment: &Environment,
    has_slurm: bool,
) -> Result<(Vec<Check>, Tried), Failure> {
    const RUNTIME: &str = "container runtime";
    let mut tried = tried_here();
    let path = environment.get("PATH").unwrap_or_default();
    let own = site.runtime.apptainer.as_deref().filter(|own| own.is_file()).map(Apptainer::at);
    let found = own.or_else(|| Apptainer::find(&format!("{path}:/usr/bin:/usr/local/bin")));
    let Some(runtime) = found else {
        let state = if has_slurm { State::Warn } else { State::Fail };
        let hint = if has_slurm {
            "services with --local need it here; `bf-admin doctor --compute` looks at the nodes"
        } else {
            "install Apptainer 1.1 or newer, or load its module"
        };
        let check = Check::new(RUNTIME, state, "neither apptainer nor singularity is on this machine");
        return Ok((vec![check.with_hint(hint)], tried));
    };
    let shown = runtime.program().display();
    let mut checks = match version(&runtime) {
        Ok(version) => {
            let check = Check::new(RUNTIME, State::Ok, format!("{version} ({shown})"));
            tried.runtime = Some(version);
            vec![check]
        }
        Err(failure) => {
            let hint = format!("try it: `{shown} --version`");
            vec![Check::new(RUNTIME, State::Warn, failure.message).with_hint(hint)]
        }
    };
    let folder = Folder::make()?;
    let trial = Trial::write(&folder.0.join("probe.sif"))?;
    let (mounted, check) = one(&trial, runtime.program());
    tried.mounted = Some(mounted);
    checks.push(check);
    Ok((checks, tried))
}

fn one(trial: &Trial, program: &Path) -> (bool, Check) {
    const WHAT: &str = "zstd image on this machine";
    let words = trial.words(program);
    let mut command = Command::new(program);
    let why = match host::run_within(command.args(words.iter().skip(1)), LIMITS) {
        Ok(ended) if trial.is_text(&ended.stdout) => {
            return (true, Check::new(WHAT, State::Ok, "a program of a container read it"));
        }
        Ok(ended) => format!("{}: {}", host::ending(ended.status), last(&ended.stderr)),
        Err(error) => error.to_string(),
    };
    (false, Check::new(WHAT, State::Warn, format!("it does not run: {why}")).with_hint(MOUNT_HINT))
}

/// The last words of a program, in one line and without what could change a terminal.
pub(super) fn last(said: &str) -> String {
    let said = plain(said);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let lines = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ");
    let short: String = lines.chars().take(500).collect();
    if short.is_empty() { "it said nothing".into() } else { short }
}

/// A folder of its own for temporary files, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        let name = format!("blackfish-doctor-{}-{}", std::process::id(), host::now().replace(':', ""));
        let path = std::env::temp_dir().join(name);
        own_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing can be done about it here, and it is small.
        let _ = fs_err::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_one_plain_line() {
        assert_eq!(last("a\n\nb\x1b[0m\nc\nd \n"), "b; c; d");
        assert_eq!(last("\n"), "it said nothing");
    }

    #[test]
    fn a_program_that_does_not_read_it_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let trial = Trial::write(&dir.path().join("probe.sif")).unwrap();
        let header = bf_core::image::sif::read(&dir.path().join("probe.sif")).unwrap();
        assert_eq!(header.primary.compression, Some("zstd"));
        let file = fs_err::File::open(dir.path().join("probe.sif")).unwrap();
        assert_eq!(bf_core::sif::verify(file.file()).unwrap(), []);
        let (mounted, check) = one(&trial, Path::new("/bin/false"));
        assert!(!mounted);
        assert_eq!(check.state, State::Warn);
        assert!(!trial.is_text(""));
    }
}
