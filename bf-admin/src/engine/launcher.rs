//! The program that stands in front of an engine's package and takes the options that its definition gives.

use std::path::Path;

use bf_core::report::{Exit, Failure};
use bf_core::service::Native;

/// Programs by the package that they start.
const LAUNCHERS: [Launcher; 1] =
    [Launcher { package: "xllamacpp", name: "llama-server", source: include_str!("llama_server.py") }];

/// A program of ours, a Python script without its first line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Launcher {
    package: &'static str,
    /// Its name in `bin/`.
    pub(super) name: &'static str,
    source: &'static str,
}

/// The one for a package.
pub(super) fn of(native: &Native) -> Result<Launcher, Failure> {
    LAUNCHERS.into_iter().find(|launcher| launcher.package == native.package).ok_or_else(|| {
        let known: Vec<&str> = LAUNCHERS.iter().map(|launcher| launcher.package).collect();
        let message = format!("this version cannot install the package {} as an engine", native.package);
        Failure::new(Exit::Invalid, "package_not_supported", message)
            .with_hint(format!("it can install {}", known.join(", ")))
    })
}

impl Launcher {
    /// The script for one Python. `-I`: nothing of the user's is loaded; `-B`: nothing is written into the cache.
    pub(super) fn text(self, python: &Path) -> String {
        format!("#!{} -IB\n{}", python.display(), self.source)
    }
}
