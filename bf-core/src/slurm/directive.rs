//! The options at the top of a job script.

use std::fmt;
use std::path::Path;

use super::SlurmError;

/// One `#SBATCH` option, its value from a whitelist of characters, written as it stands in a script: `--partition=gpu`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    name: String,
    value: Option<String>,
}

impl Directive {
    /// An option with a value.
    pub fn new(name: &str, value: impl fmt::Display) -> Result<Self, SlurmError> {
        let value = value.to_string();
        check_name(name)?;
        let extra = extra(name);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:/,@%+=-[]".contains(c) || extra.contains(c);
        if value.is_empty() {
            return Err(SlurmError::invalid(name, &value, "it is empty"));
        }
        if !value.chars().all(allowed) {
            return Err(SlurmError::invalid(name, &value, "it holds characters that have no place in it"));
        }
        Ok(Self { name: name.to_owned(), value: Some(value) })
    }

    /// An option without a value.
    pub fn flag(name: &str) -> Result<Self, SlurmError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), value: None })
    }

    /// An option whose value is a file in a folder of any name. In `file`, `%j` and the like keep their meaning.
    pub fn path(name: &str, folder: &Path, file: &str) -> Result<Self, SlurmError> {
        check_name(name)?;
        let shown = folder.display().to_string();
        let invalid = |reason| Err(SlurmError::invalid(name, &shown, reason));
        let Some(text) = folder.to_str() else { return invalid("it is not UTF-8") };
        if text.chars().any(char::is_control) {
            return invalid("it holds control characters");
        }
        if text.contains(['\'', '"', '\\']) {
            return invalid("it holds a quote or a backslash");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.%-".contains(c);
        if file.is_empty() || !file.chars().all(plain) {
            return Err(SlurmError::invalid(name, file, "it is not a plain file name"));
        }
        let folder = text.replace('%', "%%");
        Ok(Self { name: name.to_owned(), value: Some(format!("{}/{file}", folder.trim_end_matches('/'))) })
    }

    /// The option's name, without dashes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The option as an argument of `sbatch`, which needs no quotes.
    pub fn argument(&self) -> String {
        match &self.value {
            Some(value) => format!("--{}={value}", self.name),
            None => format!("--{}", self.name),
        }
    }
}

/// What the values of some options hold besides what all may hold. None of it means anything to `sbatch` when it reads a script.
fn extra(name: &str) -> &'static str {
    match name {
        "constraint" | "prefer" | "cluster-constraint" => "&|*()!",
        "comment" => ";",
        "dependency" => "?",
        "licenses" => "|;",
        _ => "",
    }
}

fn check_name(name: &str) -> Result<(), SlurmError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(SlurmError::invalid("option", name, "it is no name of an option"))
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let argument = self.argument();
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '\'' | '"' | '\\');
        if argument.chars().all(plain) { f.write_str(&argument) } else { write!(f, "'{argument}'") }
    }
}
