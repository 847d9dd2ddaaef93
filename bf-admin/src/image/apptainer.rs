//! Makes a SIF of a registry's image with `apptainer build`, or `singularity pull` where that is what there is.
//!
//! All that it writes on the way is in one folder: its layers, its unpacked files, the result.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use bf_core::apptainer;
use bf_core::image::Reference;
use bf_core::report::{Exit, Failure};
use bf_core::settings::Environment;
use bf_core::squashfs::Compression;
use walkdir::WalkDir;

use super::failed;
use crate::tether;

/// How much of what it says is kept to be quoted.
const KEPT: usize = 16 * 1024;

/// How long it may say nothing and write nothing before it is ended: a registry that takes a connection and stays silent
/// would hold the cache's lock for ever. Slow ones send something within minutes.
const SILENCE: Duration = Duration::from_mins(15);

/// What makes images on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Apptainer {
    runtime: apptainer::Apptainer,
    /// Whether registries are reached by HTTPS only.
    https: bool,
    compression: Compression,
}

impl Apptainer {
    /// Looks for one in PATH and the system's folders.
    pub(crate) fn find(
        environment: &Environment,
        https: bool,
        compression: Compression,
    ) -> Result<Self, Failure> {
        let path = environment.get("PATH").unwrap_or_default();
        let found = apptainer::Apptainer::find(&format!("{path}:/usr/bin:/usr/local/bin"));
        let missing = || {
            let message = "neither apptainer nor singularity is in PATH, which `--engine apptainer` asks for";
            Failure::new(Exit::Unreachable, "apptainer_not_found", message).with_hint(
                "leave out `--engine`: bf-admin makes images itself; or load the module of apptainer",
            )
        };
        Ok(Self { runtime: found.ok_or_else(missing)?, https, compression })
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
        match attend(&mut child, work, SILENCE, tell)? {
            Ended::Well => Ok(()),
            Ended::Badly(said) => Err(failed::failure(self.runtime.program(), reference, &said)),
            Ended::Silent => Err(failed::silent(self.runtime.program(), reference, SILENCE)),
        }
    }

    fn arguments(&self, command: &mut Command, reference: &Reference, to: &Path) {
        // What is cached would be a second copy in the staging folder.
        if self.runtime.is_apptainer() {
            // Its own default, gzip at the highest level, takes several times as long for hardly a smaller file.
            let squashfs = match self.compression {
                Compression::Gzip(level) => format!("-comp gzip -Xcompression-level {}", level.min(9)),
                Compression::Zstd(level) => format!("-comp zstd -Xcompression-level {level}"),
            };
            command.args(["build", "--disable-cache", "--mksquashfs-args", &squashfs]);
        } else {
            command.args(["pull", "--disable-cache"]);
        }
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

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Well,
    /// With these last words.
    Badly(String),
    /// By us, since nothing came of it any more.
    Silent,
}

/// Listens to a program until it ends, and ends it when it has said nothing and changed nothing in `work` for as long as
/// `silence`. It ends when its standard input does.
fn attend(
    child: &mut Child,
    work: &Path,
    silence: Duration,
    tell: &dyn Fn(&str),
) -> Result<Ended, std::io::Error> {
    let held = child.stdin.take(); // as long as we live, it may
    let heard = AtomicU64::new(0);
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let heard = &heard;
        let watch = scope.spawn(move || {
            let _held = held;
            let (mut last, mut since) = ((0, 0, 0), Instant::now());
            while is_done.recv_timeout(silence / 30) == Err(RecvTimeoutError::Timeout) {
                let (files, bytes) = extent(work);
                let now = (heard.load(Ordering::Relaxed), files, bytes);
                if now != last {
                    (last, since) = (now, Instant::now());
                } else if since.elapsed() >= silence {
                    return true;
                }
            }
            false
        });
        let stderr = child.stderr.take();
        let said = stderr.map(|stderr| listen(stderr, heard, tell)).unwrap_or_default();
        let status = child.wait();
        drop(done);
        let was_silent = watch.join().unwrap_or_default();
        Ok(match status? {
            status if status.success() => Ended::Well,
            _ if was_silent => Ended::Silent,
            _ => Ended::Badly(said),
        })
    })
}

/// How many files are in a folder, and how many bytes. What cannot be looked into counts as nothing.
pub(crate) fn extent(folder: &Path) -> (u64, u64) {
    let entries = WalkDir::new(folder).into_iter().flatten();
    let lengths = entries.filter_map(|entry| Some(entry.metadata().ok()?.len()));
    lengths.fold((0, 0), |(files, bytes), length| (files + 1, bytes + length))
}

/// Reads to the end, tells each `INFO:` line, and gives the last [`KEPT`] bytes. `heard` counts all.
fn listen(mut from: impl Read, heard: &AtomicU64, tell: &dyn Fn(&str)) -> String {
    let (mut buffer, mut line, mut kept) = ([0; 4096], Vec::new(), Vec::new());
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        heard.fetch_add(count as u64, Ordering::Relaxed);
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

    fn maker(name: &str, https: bool) -> Apptainer {
        let runtime = apptainer::Apptainer::at(Path::new("/opt/bin").join(name));
        Apptainer { runtime, https, compression: Compression::Zstd(3) }
    }

    #[test]
    fn the_arguments_are_the_references_own() {
        let arguments = |maker: Apptainer, reference: &str| {
            let mut command = Command::new("x");
            maker.arguments(&mut command, &reference.parse().unwrap(), Path::new("/s/image.sif"));
            let text = |argument: &std::ffi::OsStr| argument.to_string_lossy().into_owned();
            command.get_args().map(text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            arguments(maker("apptainer", true), "vllm/vllm-openai:v0.10.2"),
            "build --disable-cache --mksquashfs-args -comp zstd -Xcompression-level 3 /s/image.sif docker://docker.io/vllm/vllm-openai:v0.10.2"
        );
        let digest = format!("sha256:{}", "a1".repeat(32));
        assert_eq!(
            arguments(maker("singularity", false), &format!("login:5000/a:1@{digest}")),
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
        let said =
            listen(text.as_bytes(), &AtomicU64::new(0), &|line| told.borrow_mut().push(line.to_owned()));
        assert_eq!(told.into_inner(), ["Fetching[0m"]);
        assert!(said.len() <= KEPT && said.contains("FATAL:   no"), "{}", said.len());
    }

    #[test]
    fn one_that_stays_silent_is_ended_and_one_at_work_is_not() {
        let work = tempfile::tempdir().unwrap();
        let attend = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(work.path());
            let piped = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
            attend(&mut piped.unwrap(), work.path(), Duration::from_secs(1), &|_| ()).unwrap()
        };
        // As what is tethered it ends with its standard input.
        let begun = Instant::now();
        assert_eq!(attend("echo connecting >&2; cat; exit 1"), Ended::Silent);
        assert!((1..10).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        assert_eq!(attend("for i in 1 2 3 4; do sleep 0.4; echo $i >&2; done"), Ended::Well);
        assert_eq!(attend("for i in 1 2 3 4; do sleep 0.4; echo $i >>\"$1/layer\"; done"), Ended::Well);
        assert_eq!(attend("echo FATAL: no >&2; exit 1"), Ended::Badly("FATAL: no\n".into()));
    }

    #[test]
    fn a_program_that_cannot_be_run_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap().to_owned();
        let find = || {
            Apptainer::find(&Environment::of([("PATH".to_owned(), path.clone())]), true, Compression::Gzip(6))
        };
        let program = dir.path().join("apptainer");
        fs_err::write(&program, "").unwrap();
        assert!(find().is_err() || find().unwrap().runtime.program() != program);
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find().unwrap().runtime.program(), program);
    }
}
