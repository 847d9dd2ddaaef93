//! The bf-user beside the running bf-admin.

use std::path::{Path, PathBuf};
use std::process::Command;

use bf_core::report::{Exit, Failure};
use bf_core::{digest, host};
use serde::Deserialize;

use super::{PROGRAM, VERSION};

/// A bf-user that can be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beside {
    /// The program.
    pub(crate) path: PathBuf,
    /// Its SHA-256.
    pub(crate) sha256: String,
    /// Its length.
    pub(crate) bytes: u64,
}

/// What `version --json` says.
#[derive(Deserialize)]
struct Version {
    name: String,
    version: String,
}

/// Reads the one in `folder`, if there is one.
pub(super) fn read(folder: &Path) -> Result<Option<Beside>, Failure> {
    let path = folder.join(PROGRAM);
    if !path.is_file() {
        return Ok(None);
    }
    let (sha256, bytes) = digest::of_file(&path)?;
    Ok(Some(Beside { path, sha256, bytes }))
}

impl Beside {
    /// Asks it who it is: it must be a bf-user that runs here, of our own version.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let shown = self.path.display();
        let invalid = |why: String| {
            Failure::new(Exit::Invalid, "toolkit_invalid", format!("{shown} is not published: {why}"))
                .with_hint("put the bf-user of the same release beside bf-admin")
        };
        let said = host::run(Command::new(&self.path).args(["version", "--json"]))
            .map_err(|error| invalid(error.to_string()))?;
        match serde_json::from_str::<Version>(&said.stdout) {
            Ok(own) if own.name == PROGRAM && own.version == VERSION => Ok(()),
            Ok(own) if own.name == PROGRAM => {
                Err(invalid(format!("it is version {}, and this bf-admin {VERSION}", own.version)))
            }
            Ok(own) => Err(invalid(format!("it is {}", own.name))),
            Err(_) => Err(invalid("it does not say what it is".into())),
        }
    }
}
