//! What the nodes of a cluster can do: a job on one of each partition tries it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bf_core::host;
use bf_core::report::{Exit, Failure};
use bf_core::site::RuntimeRules;
use bf_core::slurm::{PartitionState, Slurm};

use super::here::{MOUNT_HINT, last};
use super::trial::Trial;
use super::{Check, State};
use crate::image::TriedPartition;
use crate::several::at_once;

/// Jobs that wait at a time.
const AT_ONCE: usize = 8;
/// The last line of a try that came to nothing, and the exit code behind it.
const FAILED: &str = "blackfish-probe: failed ";
/// The line of a module that cannot be loaded, and its name behind it.
const MODULE: &str = "blackfish-probe: module ";
/// The line with the runtime's version.
const VERSION: &str = "blackfish-probe: version ";

/// How nodes are reached.
pub(super) struct Nodes<'a> {
    pub(super) slurm: &'a Slurm,
    pub(super) account: Option<&'a str>,
    pub(super) runtime: &'a RuntimeRules,
}

/// What was found out.
pub(super) struct Found {
    pub(super) checks: Vec<Check>,
    pub(super) tried: Vec<TriedPartition>,
    /// The runtime of a node, with its version.
    pub(super) runtime: Option<String>,
}

/// The partitions that are asked for, or all that take jobs.
///
/// # Errors
/// Slurm does not answer, or has none of that name.
pub(super) fn partitions(slurm: &Slurm, asked: &[String]) -> Result<Vec<String>, Failure> {
    let all = slurm.partitions()?;
    if let Some(unknown) = asked.iter().find(|name| all.iter().all(|one| one.name != **name)) {
        let known: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        let message = format!("Slurm has no partition {unknown}");
        return Err(Failure::new(Exit::NotFound, "partition_not_found", message)
            .with_hint(format!("there are: {}", known.join(", "))));
    }
    if !asked.is_empty() {
        return Ok(asked.to_vec());
    }
    let usable = all.into_iter().filter(|one| one.state == PartitionState::Up && one.node_count > 0);
    Ok(usable.map(|one| one.name).collect())
}

/// How a try ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Mounted,
    /// The runtime said why not.
    NotMounted(String),
    /// There is none.
    NoRuntime,
    /// This module of `runtime.modules` cannot be loaded.
    NoModule(String),
}

impl Nodes<'_> {
    /// Tries it in all of these partitions, some at a time.
    pub(super) fn look(&self, trial: &Trial, partitions: &[String]) -> Found {
        let program = self.program();
        let words = self.words(trial, &program);
        let said = at_once(partitions, AT_ONCE, |name| self.slurm.run_on_node(name, self.account, &words));
        let mut found = Found { checks: Vec::new(), tried: Vec::new(), runtime: None };
        for (name, said) in partitions.iter().zip(said) {
            let what = format!("zstd image in partition {name}");
            let check = match said {
                // Of a partition without a free node nothing is known, and what was known before stays.
                Err(error) => Check::new(what, State::Warn, format!("not tried: {error}")).with_hint(
                    "run it again when a node is free; where Slurm asks for an account, name it with --account",
                ),
                Ok(said) => {
                    let version = said.lines().find_map(|line| line.strip_prefix(VERSION));
                    let version = version.map(last);
                    let ended = ended(trial, &said);
                    let mounted = (ended != Ended::NoRuntime).then_some(ended == Ended::Mounted);
                    found.tried.push(TriedPartition { name: name.clone(), mounted, seen_at: host::now() });
                    found.runtime = found.runtime.take().or_else(|| version.clone());
                    let version = version.unwrap_or_default();
                    match ended {
                        Ended::Mounted => Check::new(what, State::Ok, version),
                        Ended::NotMounted(why) => {
                            Check::new(what, State::Warn, format!("it does not run with {version}: {why}"))
                                .with_hint(MOUNT_HINT)
                        }
                        Ended::NoModule(module) => {
                            let detail = format!("the module {module} cannot be loaded");
                            Check::new(what, State::Fail, detail).with_hint(
                                "`runtime.modules` of site.yaml names it: install it on the nodes, or correct the name",
                            )
                        }
                        Ended::NoRuntime => {
                            let detail = format!("{} is not there", program.display());
                            Check::new(what, State::Fail, detail).with_hint(
                                "install it on the nodes, or name it, or its modules, in `runtime` of site.yaml",
                            )
                        }
                    }
                }
            };
            found.checks.push(check);
        }
        found
    }

    /// The runtime as services of this site name it.
    fn program(&self) -> PathBuf {
        self.runtime.apptainer.clone().unwrap_or_else(|| "apptainer".into())
    }

    fn words(&self, trial: &Trial, program: &Path) -> Vec<OsString> {
        let modules = &self.runtime.modules;
        // Their names hold nothing that a shell would read otherwise.
        let load = |module: &String| {
            format!("module load {module} >/dev/null 2>&1 || {{ echo '{MODULE}{module}'; exit 0; }}\n")
        };
        let load: String = modules.iter().map(load).collect();
        let find = if self.runtime.apptainer.is_some() {
            ""
        } else {
            "command -v \"$1\" >/dev/null || { shift; set -- singularity \"$@\"; }\n"
        };
        let script = format!(
            "{load}PATH=$PATH:/usr/bin:/usr/local/bin\n{find}command -v \"$1\" >/dev/null || {{ echo '{FAILED}127'; exit 0; }}\n\
             echo \"{VERSION}$(\"$1\" --version 2>/dev/null | head -n 1)\"\n\"$@\" 2>&1 || echo \"{FAILED}$?\"\n"
        );
        let shell = if modules.is_empty() { ["/bin/sh", "-c"] } else { ["/bin/bash", "-lc"] };
        let mut words: Vec<OsString> = shell.iter().map(OsString::from).collect();
        words.extend([script.into(), "blackfish-probe".into()]);
        words.extend(trial.words(program));
        words
    }
}

fn ended(trial: &Trial, said: &str) -> Ended {
    if trial.is_text(said) {
        return Ended::Mounted;
    }
    if let Some(module) = said.lines().find_map(|line| line.strip_prefix(MODULE)) {
        return Ended::NoModule(last(module));
    }
    if said.lines().any(|line| line == format!("{FAILED}127")) && !said.contains(VERSION) {
        return Ended::NoRuntime;
    }
    let lines = said.lines().filter(|line| !line.starts_with("blackfish-probe: "));
    Ended::NotMounted(last(&lines.collect::<Vec<_>>().join("\n")))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use bf_core::settings::Environment;

    use super::*;

    /// Runs the words of a try on this machine, with a runtime that does this.
    fn tried(script: Option<&str>) -> Ended {
        tried_with(script, &[])
    }

    fn tried_with(script: Option<&str>, modules: &[&str]) -> Ended {
        let dir = tempfile::tempdir().unwrap();
        let trial = Trial::write(&dir.path().join("probe.sif")).unwrap();
        let program = dir.path().join("runtime");
        if let Some(script) = script {
            // Written by another process: what we have open for writing, a child of another test would keep from being run.
            let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\"; chmod 755 \"$1\"";
            let status = Command::new("sh").args(["-c", write, "sh"]).arg(&program).arg(script).status();
            assert!(status.unwrap().success());
        }
        let bin = dir.path().join("bin");
        fs_err::create_dir(&bin).unwrap();
        let sbatch = "printf '#!/bin/sh\\n' >\"$1/sbatch\"; chmod 755 \"$1/sbatch\"";
        assert!(Command::new("sh").args(["-c", sbatch, "sh"]).arg(&bin).status().unwrap().success());
        let environment = Environment::of([("PATH".to_owned(), bin.to_str().unwrap().to_owned())]);
        let runtime = RuntimeRules {
            apptainer: Some(program.clone()),
            modules: modules.iter().map(ToString::to_string).collect(),
            ..RuntimeRules::default()
        };
        let nodes = Nodes { slurm: &Slurm::find(&environment).unwrap(), account: None, runtime: &runtime };
        let words = nodes.words(&trial, &program);
        let output = Command::new(&words[0]).args(&words[1..]).output().unwrap();
        assert!(output.status.success());
        ended(&trial, &String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn a_module_that_cannot_be_loaded_is_named() {
        let missing = "blackfish-no-such-module/1.2";
        assert_eq!(tried_with(Some("exit 0"), &[missing]), Ended::NoModule(missing.into()));
    }

    #[test]
    fn a_node_without_a_runtime_is_told_from_one_that_does_not_mount() {
        assert_eq!(tried(None), Ended::NoRuntime);
        assert_eq!(
            tried(Some("echo 'FATAL: no zstd' >&2; exit 255")),
            Ended::NotMounted("FATAL: no zstd".into())
        );
        assert_eq!(tried(Some("exit 127")), Ended::NotMounted("it said nothing".into()));
    }
}
