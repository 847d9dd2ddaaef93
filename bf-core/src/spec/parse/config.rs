//! From a configuration file to a value: what is the same for every kind of it.

use std::io;
use std::path::{Path, PathBuf};

use super::{Node, ReadError, Reader, read_text};
use crate::report::{Exit, Explain, Finding, Severity, shell_quoted};

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read. The message names it.
    #[error("{0}")]
    Read(#[source] io::Error),
    /// It is faulty.
    #[error("`{}` is not valid: {}", path.display(), summary(findings))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What it says, for [`crate::spec::snippet::write`]; empty when it is not text.
        text: String,
        /// All findings, at least one of them an error, in file order.
        findings: Vec<Finding>,
    },
}

/// Parses `text` and lets `convert` take it apart. `path` is only named in the findings.
///
/// Returns the value and the warnings.
///
/// # Errors
/// All findings, errors and warnings, in the order of the file.
pub fn parse<T>(
    text: &str,
    path: &Path,
    convert: impl FnOnce(&Reader, &Node) -> Option<T>,
) -> Result<(T, Vec<Finding>), Vec<Finding>> {
    let (value, findings) = draft(text, path, convert);
    match value {
        Some(value) if findings.iter().all(|finding| finding.severity == Severity::Warning) => {
            Ok((value, findings))
        }
        _ => Err(findings),
    }
}

/// As [`parse`], with what could be made of a faulty text too: for who looks for more faults.
pub fn draft<T>(
    text: &str,
    path: &Path,
    convert: impl FnOnce(&Reader, &Node) -> Option<T>,
) -> (Option<T>, Vec<Finding>) {
    let reader = Reader::new();
    let value = reader.document(text).and_then(|root| convert(&reader, &root));
    let mut findings = reader.into_findings();
    for finding in &mut findings {
        finding.file = Some(path.to_owned());
    }
    (value, findings)
}

/// Reads the file at `path` and lets `parse` make a value of its text.
///
/// # Errors
/// [`ConfigError`]; a file that is not there keeps its kind, `NotFound`.
pub fn load<T>(
    path: &Path,
    parse: impl FnOnce(&str, &Path) -> Result<T, Vec<Finding>>,
) -> Result<T, ConfigError> {
    let invalid = |text, findings| ConfigError::Invalid { path: path.to_owned(), text, findings };
    match read_text(path) {
        Ok(text) => parse(&text, path).map_err(|findings| invalid(text, findings)),
        Err(ReadError::Io(error)) => Err(ConfigError::Read(error)),
        Err(ReadError::Invalid(mut finding)) => {
            finding.file = Some(path.to_owned());
            Err(invalid(String::new(), vec![finding]))
        }
    }
}

impl Explain for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::Invalid { .. } => "invalid_config",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read(error) => error.hint(),
            Self::Invalid { path, .. } => {
                Some(format!("`bf-admin validate {}` shows all findings", shell_quoted(path)))
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
pub fn summary(findings: &[Finding]) -> String {
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
