//! The job directory of a service: `<home_dir>/jobs/<32 hex>/`, 0700. What the command line and the supervisor tell each
//! other goes through its files, which are replaced by rename and never edited.

mod end;
mod files;
mod key;
mod options;
mod process;

pub(crate) use files::{
    Cause, End, Endpoint, Engine, EngineImage, Job, LocalJob, Model, Phase, PhaseTime, Requests, Resources,
    SCHEMA, Scheduler, SlurmJob, State, StopAsked, TierName, Work,
};
pub(crate) use key::{Key, proof, proofs_match};
pub(crate) use options::{Network, Runtime, SlurmOptions};
pub(crate) use process::Liveness;

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bf_core::publish::private_folder;
use bf_core::report::{Exit, Failure};
use bf_core::slurm::JobId;
use fs_err::os::unix::fs::OpenOptionsExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Lines of a log that an end quotes.
const LAST_LINES: usize = 20;
/// Bytes at the end of a log that are looked at for them.
const TAIL_BYTES: u64 = 16 * 1024;

/// The folder of one service's job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobDir {
    path: PathBuf,
}

impl JobDir {
    /// The folder of service `id` (32 hex digits) below `home_dir`.
    pub(crate) fn of(home_dir: &Path, id: &str) -> Self {
        Self { path: home_dir.join("jobs").join(id) }
    }

    /// A folder that is known by its path.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes it, and `jobs` above it, for its owner only.
    pub(crate) fn create(&self) -> io::Result<()> {
        if let Some(jobs) = self.path.parent() {
            if let Some(home) = jobs.parent() {
                fs_err::create_dir_all(home)?;
            }
            private_folder(jobs)?;
        }
        private_folder(&self.path)
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The job script.
    pub(crate) fn script(&self) -> PathBuf {
        self.path.join("run.sh")
    }

    /// The service's API key, 0600.
    pub(crate) fn key(&self) -> PathBuf {
        self.path.join("key")
    }

    /// What the engine said.
    pub(crate) fn engine_log(&self) -> PathBuf {
        self.path.join("engine.log")
    }

    /// What the supervisor said.
    pub(crate) fn supervisor_log(&self) -> PathBuf {
        self.path.join("supervisor.log")
    }

    /// What a job of Slurm said outside of the supervisor: the script itself, and Slurm.
    pub(crate) fn slurm_log(&self, job: &JobId) -> PathBuf {
        self.path.join(format!("slurm-{}.out", job.number()))
    }

    /// The last lines of a log, at most 20; bytes that are not UTF-8 are replaced.
    pub(crate) fn last_lines(log: &Path) -> io::Result<Vec<String>> {
        let mut log = fs_err::File::open(log)?;
        let length = log.metadata()?.len();
        log.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        log.take(TAIL_BYTES).read_to_end(&mut tail)?;
        let text = String::from_utf8_lossy(&tail);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        Ok(lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(ToString::to_string).collect())
    }

    /// `job.json`: its age is that of the job.
    pub(crate) fn job_file(&self) -> PathBuf {
        self.path.join("job.json")
    }

    /// The heartbeat's file: its modification time tells its age.
    pub(crate) fn state_file(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// `job.json`: what was asked for. Written once.
    pub(crate) fn job(&self) -> Result<Job, Failure> {
        self.read("job.json")?.ok_or_else(|| {
            Failure::new(Exit::NotFound, "job_not_found", format!("{} has no job.json", self.path.display()))
        })
    }

    /// `endpoint.json`, if the supervisor has published it.
    pub(crate) fn endpoint(&self) -> Result<Option<Endpoint>, Failure> {
        self.read("endpoint.json")
    }

    /// `state.json`, if the supervisor has written it.
    pub(crate) fn state(&self) -> Result<Option<State>, Failure> {
        self.read("state.json")
    }

    /// `end.json`, if the job has ended with a report.
    pub(crate) fn end(&self) -> Result<Option<End>, Failure> {
        self.read("end.json")
    }

    /// `work.json`: the engine's folder on the node.
    pub(crate) fn work(&self) -> Result<Option<Work>, Failure> {
        self.read("work.json")
    }

    /// `slurm.json`: which job of Slurm it is, once that is known.
    pub(crate) fn slurm(&self) -> Result<Option<SlurmJob>, Failure> {
        self.read("slurm.json")
    }

    /// Writes down that somebody wants the job to end: also one that has not begun, or that Slurm no longer answers for.
    pub(crate) fn ask_to_stop(&self) -> io::Result<()> {
        self.write("stop.json", &StopAsked { schema: SCHEMA, asked_at: bf_core::host::now() })
    }

    /// Whether somebody wants the job to end.
    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.path.join("stop.json").exists()
    }

    /// Which process is the job, for a job without a scheduler: from `local.json`, or, where that is missing or
    /// damaged, found among the processes of this host.
    pub(crate) fn local(&self) -> Result<Option<LocalJob>, Failure> {
        match self.read("local.json") {
            Ok(Some(local)) => Ok(Some(local)),
            Ok(None) | Err(_) => LocalJob::search(&self.path),
        }
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let path = self.path.join(name);
        let bytes = match fs_err::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Failure::new(
                Exit::Invalid,
                "job_file_invalid",
                format!("{} cannot be understood: {error}", path.display()),
            )
            .with_hint("stop the service and start it again")
        })
    }

    /// Replaces one of the JSON files at once, flushed: it is whole after a power cut.
    pub(crate) fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        self.replace(name, &serde_json::to_vec(value)?, 0o600, true)
    }

    /// Writes `state.json`. Not flushed: a heartbeat that a power cut loses is not missed.
    pub(crate) fn write_state(&self, state: &State) -> io::Result<()> {
        self.replace("state.json", &serde_json::to_vec(state)?, 0o600, false)
    }

    /// Writes a file with these bytes and mode, replacing an older one at once.
    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.replace(name, bytes, mode, true)
    }

    fn replace(&self, name: &str, bytes: &[u8], mode: u32, flush: bool) -> io::Result<()> {
        let staged = self.stage(name, bytes, mode, flush)?;
        fs_err::rename(staged, self.path.join(name))
    }

    /// Writes `end.json` unless there is one: the first to know why a job ended says it. Tells whether it was us.
    pub(crate) fn write_end(&self, end: &End) -> io::Result<bool> {
        if self.path.join("end.json").exists() {
            return Ok(false); // so that a full disk does not hinder who has nothing to add
        }
        let staged = self.stage("end.json", &serde_json::to_vec(end)?, 0o600, true)?;
        let to = self.path.join("end.json");
        // A hard link fails if the name is taken, which a rename does not.
        let result = match fs_err::hard_link(&staged, &to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(_) if to.exists() => Ok(false),
            Err(_) => return fs_err::rename(&staged, &to).map(|()| true), // no hard links here
        };
        fs_err::remove_file(&staged)?;
        result
    }

    /// Writes a file under a name that nobody reads. It is gone again if that fails.
    fn stage(&self, name: &str, bytes: &[u8], mode: u32, flush: bool) -> io::Result<PathBuf> {
        let staged = self.path.join(format!(".{name}.{}", std::process::id()));
        let mut file = fs_err::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&staged)?;
        let written = file.write_all(bytes).and_then(|()| if flush { file.sync_all() } else { Ok(()) });
        if let Err(error) = written {
            let _ = fs_err::remove_file(&staged);
            return Err(error);
        }
        Ok(staged)
    }

    /// Opens a log for appending, for its owner only.
    pub(crate) fn append(path: &Path) -> io::Result<std::fs::File> {
        let file = fs_err::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(file.into_file())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_end_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let dir = JobDir::of(home.path(), "0123456789abcdef0123456789abcdef");
        dir.create().unwrap();
        assert_eq!(fs_err::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(dir.write_end(&End::new(Cause::Stopped, "first")).unwrap());
        assert!(!dir.write_end(&End::new(Cause::Unknown, "second")).unwrap());
        assert_eq!(dir.end().unwrap().unwrap().message, "first");
        let files = fs_err::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 1, "nothing staged is left");
    }

    #[test]
    fn a_file_that_is_not_json_is_a_sentence() {
        let home = tempfile::tempdir().unwrap();
        let dir = JobDir::at(home.path());
        fs_err::write(home.path().join("state.json"), "{").unwrap();
        assert_eq!(dir.state().unwrap_err().exit, Exit::Invalid);
        assert_eq!(dir.end().unwrap(), None);
    }
}
