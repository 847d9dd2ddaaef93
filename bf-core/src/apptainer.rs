//! The container runtime: Apptainer, or Singularity where that is what there is.

use std::path::{Path, PathBuf};

use crate::host;

/// Names of the program, the newer first, with the prefix of the variables that it hands on to a container.
const PROGRAMS: [(&str, &str); 2] = [("apptainer", "APPTAINERENV_"), ("singularity", "SINGULARITYENV_")];

/// The runtime of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apptainer {
    program: PathBuf,
    prefix: &'static str,
}

impl Apptainer {
    /// The first one in these folders, as PATH lists them.
    pub fn find(path: &str) -> Option<Self> {
        PROGRAMS
            .iter()
            .find_map(|(name, prefix)| Some(Self { program: host::find_program(name, path)?, prefix }))
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Whether it is Apptainer itself.
    pub fn is_apptainer(&self) -> bool {
        self.prefix == PROGRAMS[0].1
    }

    /// What a variable must be called in the program's environment for the container to get it, whatever else is held back.
    pub fn variable(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The runtime at a path that is known. One that is called neither name is taken for Apptainer.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        let (_, prefix) = PROGRAMS.iter().find(|(name, _)| program.ends_with(name)).unwrap_or(&PROGRAMS[0]);
        Self { program, prefix }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn apptainer_comes_before_singularity_and_neither_may_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = format!("relative:{}", dir.path().display());
        assert_eq!(Apptainer::find(&path), None);
        for (name, variable) in [("singularity", "SINGULARITYENV_X"), ("apptainer", "APPTAINERENV_X")] {
            let program = dir.path().join(name);
            fs_err::write(&program, "").unwrap();
            fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            let found = Apptainer::find(&path).unwrap();
            assert_eq!((found.program(), found.variable("X").as_str()), (program.as_path(), variable));
        }
    }
}
