//! A site of one's own: a cache, a home, a folder for temporary files. It ends with the test, with all that runs in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use crate::place::{binary, target_dir};
use crate::process::Process;
use crate::program::Program;
use crate::service::Service;
use crate::{Model, download};

/// The model of all tests.
pub const REPO: &str = "HuggingFaceTB/SmolLM2-135M-Instruct-GGUF";

/// A folder with `cache/` (or the shared one), `home/`, `tmp/` and an empty `user/`, which is HOME.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    cache: PathBuf,
}

impl Site {
    /// An empty site, whose folder others can enter. It has no cache yet: `cache()` says where it will be.
    pub fn new() -> Self {
        // Short, since a socket's path must fit; outside of any home, since second users must get in.
        let folder =
            tempfile::Builder::new().prefix("bft-").tempdir_in("/var/tmp").expect("a folder in /var/tmp");
        bf_open(folder.path());
        for name in ["home", "tmp", "user"] {
            fs_err::create_dir(folder.path().join(name)).expect("a folder of the site");
        }
        let cache = folder.path().join("cache");
        Self { folder, cache }
    }

    /// A site whose cache is the one that all tests share: engine and model were put there by `bf-admin setup`.
    ///
    /// `Err` says why there is none.
    pub fn provisioned() -> Result<Self, String> {
        let mut site = Self::new();
        site.cache = shared_cache()?;
        Ok(site)
    }

    /// Declares engine and model in `site.yaml`, the model from the files of `model`.
    pub fn declare(&self, model: &Model) {
        let text = format!(
            "schema: 1\ncache_dir: cache\nengines:\n  llama_cpp:\nmodels:\n  - repo: {REPO}\n    path: {}\n",
            model.folder.display()
        );
        self.declare_text(&text);
    }

    /// Writes `site.yaml`.
    pub fn declare_text(&self, text: &str) {
        fs_err::write(self.site_yaml(), text).expect("site.yaml");
    }

    /// Its `site.yaml`.
    pub fn site_yaml(&self) -> PathBuf {
        self.path().join("site.yaml")
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its cache.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The user's folder.
    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// Where work folders of engines are made.
    pub fn tmp(&self) -> PathBuf {
        self.path().join("tmp")
    }

    /// HOME, which stays empty.
    pub fn user_home(&self) -> PathBuf {
        self.path().join("user")
    }

    /// Work folders that are there now.
    pub fn work_folders(&self) -> Vec<PathBuf> {
        let entries = fs_err::read_dir(self.tmp()).expect("the site's tmp");
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        paths
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("bf-")))
            .collect()
    }

    /// `bf-admin` with these arguments, in the site's folder.
    pub fn admin<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Program {
        self.program("bf-admin").args(arguments)
    }

    /// `bf-user` with these arguments, for the site's home and cache.
    pub fn user<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Program {
        self.program("bf-user")
            .env("BLACKFISH_HOME_DIR", self.home())
            .env("BLACKFISH_CACHE_DIR", &self.cache)
            .args(arguments)
    }

    /// Any program, with the site's HOME and TMPDIR.
    pub fn program(&self, name: &str) -> Program {
        let path = if name.starts_with("bf-") { binary(name) } else { PathBuf::from(name) };
        Program::new(path, self.path()).env("HOME", self.user_home()).env("TMPDIR", self.tmp())
    }

    /// Starts a service with these further arguments and waits until it is healthy.
    pub fn healthy(&self, arguments: &[&str]) -> Service {
        let service = self.started(arguments);
        self.user(["wait", &service.id, "--timeout", "120"]).code(0);
        service
    }

    /// Starts a service with these further arguments.
    pub fn started(&self, arguments: &[&str]) -> Service {
        self.started_with(REPO, arguments)
    }

    /// Starts a service of another model.
    pub fn started_with(&self, model: &str, arguments: &[&str]) -> Service {
        let words = ["run", "text-generation", model].into_iter().chain(arguments.iter().copied());
        let id = self.user(words).code(0).stdout.trim().to_owned();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "no id: {id}");
        Service::new(id, &self.home())
    }

    /// Ends all services of the site, by the processes that their job directories name.
    fn end_services(&self) {
        let Ok(jobs) = fs_err::read_dir(self.home().join("jobs")) else { return };
        let supervisors: Vec<Process> =
            jobs.filter_map(Result::ok).filter_map(|job| Service::at(&job.path()).supervisor()).collect();
        for supervisor in &supervisors {
            supervisor.signal(nix::sys::signal::Signal::SIGTERM);
        }
        for supervisor in supervisors {
            let all = supervisor.descendants();
            if !supervisor.gone_within(std::time::Duration::from_secs(20)) {
                supervisor.signal(nix::sys::signal::Signal::SIGKILL);
            }
            for process in all {
                process.signal(nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.end_services();
    }
}

/// Lets others into a folder.
fn bf_open(path: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(path, mode).expect("the site's folder");
}

/// The cache that all tests of this process share. Made anew by each process, so that it is always what this bf-admin makes;
/// another process that wants it waits.
fn shared_cache() -> Result<PathBuf, String> {
    static CACHE: OnceLock<Result<(PathBuf, Flock<std::fs::File>), String>> = OnceLock::new();
    let made = CACHE.get_or_init(|| {
        let model = download::model()?;
        let told = |error: std::io::Error| error.to_string();
        let folder = target_dir().join("test-site");
        fs_err::create_dir_all(&folder).map_err(told)?;
        let lock = fs_err::File::create(folder.join(".lock")).map_err(told)?.into_file();
        let lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno.to_string())?;
        let cache = folder.join("cache");
        if cache.exists() {
            fs_err::remove_dir_all(&cache).map_err(told)?;
        }
        let site = Site::new();
        site.declare(&model);
        let text = fs_err::read_to_string(site.site_yaml()).map_err(told)?;
        let absolute = format!("cache_dir: {}", cache.display());
        site.declare_text(&text.replace("cache_dir: cache", &absolute));
        let outcome = site.admin(["setup"]).run();
        // What pip cannot reach, tests cannot either: that is no fault of the program.
        if outcome.exit == 69 {
            return Err(outcome.stderr.lines().next().unwrap_or_default().to_owned());
        }
        assert_eq!(outcome.exit, 0, "{outcome}");
        Ok((cache, lock))
    });
    made.as_ref().map(|(cache, _)| cache.clone()).map_err(Clone::clone)
}
