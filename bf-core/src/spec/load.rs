//! Loads the specifications of a site from its cache.

use std::io;
use std::path::{Path, PathBuf};

use super::ResourceSpecs;
use super::parse::{ReadError, read_text};
use crate::report::{Exit, Explain, Finding, Severity};

/// Specifications with what should be said about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The specifications.
    pub specs: ResourceSpecs,
    /// What is probably not meant, in file order.
    pub warnings: Vec<Finding>,
}

/// Why there are no specifications.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file could not be read. The message names it.
    #[error("{0}")]
    Read(#[source] io::Error),
    /// The file is faulty.
    #[error("`{}` is not valid: {}", path.display(), summary(findings))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What it says, for [`super::snippet::write`]; empty when it is not text.
        text: String,
        /// All findings, at least one of them an error, in file order.
        findings: Vec<Finding>,
    },
}

impl ResourceSpecs {
    /// Loads the file at `path`, or the built-in tiers where there is none.
    ///
    /// # Errors
    /// A file that cannot be read or is faulty is an error, never the built-in tiers.
    pub fn load(path: &Path) -> Result<Loaded, SpecError> {
        match Self::load_file(path) {
            Err(SpecError::Read(error)) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Loaded { specs: Self::defaults(), warnings: Vec::new() })
            }
            loaded => loaded,
        }
    }

    /// Loads the file at `path`, which must be there.
    ///
    /// # Errors
    /// The file cannot be read or is faulty.
    pub fn load_file(path: &Path) -> Result<Loaded, SpecError> {
        let invalid = |text, findings| SpecError::Invalid { path: path.to_owned(), text, findings };
        let text = match read_text(path) {
            Ok(text) => text,
            Err(ReadError::Io(error)) => return Err(SpecError::Read(error)),
            Err(ReadError::Invalid(mut finding)) => {
                finding.file = Some(path.to_owned());
                return Err(invalid(String::new(), vec![finding]));
            }
        };
        match Self::parse(&text, path) {
            Ok((specs, warnings)) => Ok(Loaded { specs, warnings }),
            Err(findings) => Err(invalid(text, findings)),
        }
    }
}

impl Explain for SpecError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::Invalid { .. } => "invalid_specs",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read(error) => error.hint(),
            Self::Invalid { path, .. } => {
                Some(format!("`bf-admin validate {}` shows all findings", path.display()))
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Read(error) => error.exit(),
            Self::Invalid { .. } => Exit::Invalid,
        }
    }
}

/// `line 11: gpu_count must be ... (and 2 more errors)`.
fn summary(findings: &[Finding]) -> String {
    let mut errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let Some(first) = errors.next() else { return "no reason given".into() };
    let place = first.line.map_or(String::new(), |line| format!("line {line}: "));
    let more = match errors.count() {
        0 => String::new(),
        1 => " (and 1 more error)".into(),
        more => format!(" (and {more} more errors)"),
    };
    format!("{place}{}{more}", first.message)
}
