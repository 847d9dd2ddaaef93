//! Makes a SIF of a registry's image with `apptainer pull`, or `singularity pull` where that is what there is.
//!
//! All that it writes on the way is in one folder: its layers, its unpacked files, the result.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bf_core::apptainer::Apptainer;
use bf_core::image::Reference;
use bf_core::report::{Exit, Failure};
use bf_core::settings::Environment;

use super::failed;
use crate::tether;

/// How much of what it says is kept to be quoted.
const KEPT: usize = 16 * 1024;

/// What makes images on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Maker {
    runtime: Apptainer,
    /// Whether registries are reached by HTTPS only.
    https: bool,
}

impl Maker {
    /// Looks for one in PATH and the system's folders.
    pub(crate) fn find(environment: &Environment, https: bool) -> Result<Self, Failure> {
        let path = environment.get("PATH").unwrap_or_default();
        let found = Apptainer::find(&format!("{path}:/usr/bin:/usr/local/bin"));
        let missing = || {
            let message = "neither apptainer nor singularity is in PATH, which fetch container images";
            Failure::new(Exit::Unreachable, "apptainer_not_found", message).with_hint(
                "install apptainer on this machine (or load its module), or fetch the image elsewhere and `bf-admin image import FILE.sif`",
            )
        };
        Ok(Self { runtime: found.ok_or_else(missing)?, https })
    }

    /// Makes the file `to` of `reference`. `work` is an empty folder for all else. `tell` gets a line now and then.
    pub(crate) fn make(
        &self,
        reference: &Reference,
        to: &Path,
        work: &Path,
        tell: &dyn Fn(&str),
    ) -> Result<(), Failure> {
        for folder in ["cache", "tmp", "config"] {
            fs_err::create_dir(work.join(folder))?;
        }
        let mut command = tether::command(self.runtime.program())?;
        self.arguments(&mut command, reference, to);
        for (name, folder) in self.folders(work) {
            command.env(name, folder);
        }
        let not_started = |error: std::io::Error| {
            let message = format!("{} cannot be started: {error}", self.runtime.program().display());
            Failure::new(Exit::Failed, "program_not_started", message)
        };
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(not_started)?;
        let held = child.stdin.take(); // as long as we live, it may
        let said = child.stderr.take().map(|stderr| listen(stderr, tell)).unwrap_or_default();
        let status = child.wait()?;
        drop(held);
        if status.success() { Ok(()) } else { Err(failed::failure(self.runtime.program(), reference, &said)) }
    }

    fn arguments(&self, command: &mut Command, reference: &Reference, to: &Path) {
        // What is cached would be a second copy in the staging folder.
        command.args(["pull", "--disable-cache"]);
        if !self.https {
            command.arg("--no-https");
        }
        command.arg(to).arg(format!("docker://{}", reference.pull_name()));
    }

    /// Where it may write. HOME stays, since the passwords of registries are there.
    fn folders(&self, work: &Path) -> Vec<(String, PathBuf)> {
        let mut folders = Vec::new();
        // Each knows the other's variables by now, but warns about them or did not always.
        let prefixes: &[&str] =
            if self.runtime.is_apptainer() { &["APPTAINER"] } else { &["APPTAINER", "SINGULARITY"] };
        for prefix in prefixes {
            for (name, folder) in [("CACHEDIR", "cache"), ("TMPDIR", "tmp")] {
                folders.push((format!("{prefix}_{name}"), work.join(folder)));
            }
        }
        folders.push(("TMPDIR".into(), work.join("tmp")));
        // It makes the folder of its settings where there is none, to leave it empty.
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let has_settings = home.is_some_and(|home| home.join(".apptainer").exists());
        if !has_settings && std::env::var_os("APPTAINER_CONFIGDIR").is_none() {
            folders.push(("APPTAINER_CONFIGDIR".into(), work.join("config")));
        }
        folders
    }
}

/// Reads to the end, tells each `INFO:` line, and gives the last [`KEPT`] bytes.
fn listen(mut from: impl Read, tell: &dyn Fn(&str)) -> String {
    let (mut buffer, mut line, mut kept) = ([0; 4096], Vec::new(), Vec::new());
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
        for byte in &buffer[..count] {
            if *byte != b'\n' {
                if line.len() < KEPT {
                    line.push(*byte);
                }
                continue;
            }
            if let Some(text) = String::from_utf8_lossy(&line).trim().strip_prefix("INFO:") {
                tell(&plain(text.trim()));
            }
            line.clear();
        }
    }
    plain(&String::from_utf8_lossy(&kept))
}

/// Without what could change a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn maker(name: &str, https: bool) -> Maker {
        Maker { runtime: Apptainer::at(Path::new("/opt/bin").join(name)), https }
    }

    #[test]
    fn the_arguments_are_the_references_own() {
        let arguments = |maker: Maker, reference: &str| {
            let mut command = Command::new("x");
            maker.arguments(&mut command, &reference.parse().unwrap(), Path::new("/s/image.sif"));
            let text = |argument: &std::ffi::OsStr| argument.to_string_lossy().into_owned();
            command.get_args().map(text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            arguments(maker("apptainer", true), "vllm/vllm-openai:v0.10.2"),
            "pull --disable-cache /s/image.sif docker://docker.io/vllm/vllm-openai:v0.10.2"
        );
        let digest = format!("sha256:{}", "a1".repeat(32));
        assert_eq!(
            arguments(maker("apptainer", false), &format!("login:5000/a:1@{digest}")),
            format!("pull --disable-cache --no-https /s/image.sif docker://login:5000/a@{digest}")
        );
    }

    #[test]
    fn nothing_is_written_outside_of_the_work_folder() {
        for (name, variable) in [("apptainer", "APPTAINER_CACHEDIR"), ("singularity", "SINGULARITY_CACHEDIR")]
        {
            let folders = maker(name, true).folders(Path::new("/w"));
            assert!(folders.iter().any(|(name, _)| name == variable), "{folders:?}");
            assert!(folders.iter().all(|(_, folder)| folder.starts_with("/w")), "{folders:?}");
        }
    }

    #[test]
    fn what_it_says_is_told_and_its_end_kept() {
        let told = RefCell::new(Vec::new());
        let text = format!("INFO:    Fetching\x1b[0m\n{}\nFATAL:   no\nINFO: cut", "x".repeat(KEPT));
        let said = listen(text.as_bytes(), &|line| told.borrow_mut().push(line.to_owned()));
        assert_eq!(told.into_inner(), ["Fetching[0m"]);
        assert!(said.len() <= KEPT && said.contains("FATAL:   no"), "{}", said.len());
    }

    #[test]
    fn a_program_that_cannot_be_run_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap().to_owned();
        let find = || Maker::find(&Environment::of([("PATH".to_owned(), path.clone())]), true);
        let program = dir.path().join("apptainer");
        fs_err::write(&program, "").unwrap();
        assert!(find().is_err() || find().unwrap().runtime.program() != program);
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find().unwrap().runtime.program(), program);
    }
}
