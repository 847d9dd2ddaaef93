//! The Hub's own Python client, unmodified, from the Python package index: pinned, with all that it stands on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::fcntl::{Flock, FlockArg};

use crate::download::{NO_PYTHON, python, run};
use crate::place::target_dir;
use crate::program::Program;

/// Which of the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// `huggingface_hub` 2.4.0.
    New,
    /// `huggingface_hub` 0.36.2, which many programs still have.
    Old,
}

/// A Python that has `huggingface_hub`.
#[derive(Debug, Clone)]
pub struct Python {
    program: PathBuf,
}

impl Series {
    fn name(self) -> &'static str {
        match self {
            Self::New => "huggingface_hub-2",
            Self::Old => "huggingface_hub-0",
        }
    }

    fn requirements(self) -> &'static str {
        match self {
            Self::New => include_str!("../../../fixtures/python/huggingface_hub-2.txt"),
            Self::Old => include_str!("../../../fixtures/python/huggingface_hub-0.txt"),
        }
    }
}

impl Python {
    /// One with the newest client, made in `target/test-downloads/` unless it is there. `Err` says why it cannot be had.
    pub fn get() -> Result<&'static Self, String> {
        Self::of(Series::New)
    }

    /// One with the client of this series.
    pub fn of(series: Series) -> Result<&'static Self, String> {
        static NEW: OnceLock<Result<Python, String>> = OnceLock::new();
        static OLD: OnceLock<Result<Python, String>> = OnceLock::new();
        let made = if series == Series::New { &NEW } else { &OLD };
        made.get_or_init(|| make(series)).as_ref().map_err(Clone::clone)
    }

    /// A program of Python, with `HF_HOME` below `folder`, which is also where it runs, and without Xet. `sys.argv[1:]` are arguments.
    pub fn script(&self, folder: &Path, text: &str) -> Program {
        Program::new(&self.program, folder)
            .args(["-I", "-c", text])
            .env("HOME", folder)
            .env("HF_HOME", folder.join("hf"))
            .env("HF_HUB_DISABLE_XET", "1")
            .env("HF_HUB_DISABLE_TELEMETRY", "1")
            .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NO_PROXY", "127.0.0.1,localhost")
    }

    /// Its interpreter.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

fn make(series: Series) -> Result<Python, String> {
    let told = |error: std::io::Error| error.to_string();
    let downloads = target_dir().join("test-downloads");
    fs_err::create_dir_all(&downloads).map_err(told)?;
    let lock = fs_err::File::create(downloads.join(format!("{}.lock", series.name()))).map_err(told)?;
    let _lock =
        Flock::lock(lock.into_file(), FlockArg::LockExclusive).map_err(|(_, errno)| errno.to_string())?;
    let folder = downloads.join(series.name());
    let made = Python { program: folder.join("bin/python") };
    // Written last, so what has it is whole, and has just these versions.
    let mark = folder.join("requirements.txt");
    if fs_err::read_to_string(&mark).is_ok_and(|own| own == series.requirements()) {
        return Ok(made);
    }
    if folder.exists() {
        fs_err::remove_dir_all(&folder).map_err(told)?;
    }
    let base = python().ok_or(NO_PYTHON)?;
    run(Command::new(base).args(["-m", "venv", "--without-pip"]).arg(&folder))?;
    let wanted = downloads.join(format!("{}.txt", series.name()));
    fs_err::write(&wanted, series.requirements()).map_err(told)?;
    let words = ["-m", "pip", "--python"];
    let options =
        ["install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-cache-dir"];
    run(Command::new(base).args(words).arg(&made.program).args(options).arg("-r").arg(&wanted))?;
    fs_err::rename(&wanted, &mark).map_err(told)?;
    Ok(made)
}
