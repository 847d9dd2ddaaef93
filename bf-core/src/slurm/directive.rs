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
        // To Slurm a backslash anywhere in the path says that `%j` is to be taken as it is.
        if text.contains('\\') {
            return invalid("it holds a backslash");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.%-".contains(c);
        if file.is_empty() || !file.chars().all(plain) {
            return Err(SlurmError::invalid(name, file, "it is not a plain file name"));
        }
        let folder = text.replace('%', "%%");
        Ok(Self { name: name.to_owned(), value: Some(format!("{}/{file}", folder.trim_end_matches('/'))) })
    }

    /// An option as it is written: `--name` or `--name=value`.
    pub fn parse(text: &str) -> Result<Self, SlurmError> {
        let Some(option) = text.strip_prefix("--") else {
            return Err(SlurmError::invalid("option", text, "it does not begin with `--`"));
        };
        match option.split_once('=') {
            Some((name, value)) => Self::new(name, value),
            None => Self::flag(option),
        }
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
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.:/,@%+[]&|*()!;?".contains(c);
        if argument.chars().all(plain) {
            return f.write_str(&argument);
        }
        // Inside single quotes `sbatch` takes a backslash as "the next character as it is".
        write!(f, "'{}'", argument.replace('\'', r"\'"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{Exit, Explain};

    #[test]
    fn options_are_written_as_sbatch_reads_them() {
        let written = |name: &str, value: &str| Directive::new(name, value).unwrap().to_string();
        assert_eq!(written("partition", "gpu"), "--partition=gpu");
        assert_eq!(written("constraint", "(a100|h100)&fast"), "--constraint=(a100|h100)&fast");
        assert_eq!(written("comment", "bf:svc=1;image=2"), "--comment=bf:svc=1;image=2");
        assert_eq!(written("time", "1-00:00:00"), "--time=1-00:00:00");
        assert_eq!(written("exclude", "node[1-3,7]"), "--exclude=node[1-3,7]");
        assert_eq!(Directive::new("nodes", 2).unwrap().to_string(), "--nodes=2");
        assert_eq!(Directive::flag("no-requeue").unwrap().to_string(), "--no-requeue");
    }

    #[test]
    fn a_written_option_is_read() {
        for text in ["--exclusive", "--constraint=(a100|h100)&fast", "--qos=a=b"] {
            assert_eq!(Directive::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "-p x", "qos=x", "--", "--qos=", "--qos x", "--qos=a b", "--a\n#SBATCH --b"] {
            assert!(Directive::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_could_be_something_else_is_refused() {
        for value in [
            "", "a b", "a\nb", "a#b", "$(id)", "`id`", "a'b", "a\"b", "a\\b", "a\tb", "a\0b", "ä", "a>b",
            "a|b", "a;b",
        ] {
            let error = Directive::new("partition", value).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{value:?}");
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
        }
        for name in ["", "-p", "Partition", "par tition", "a=b", "a\nb", "--wrap"] {
            assert!(Directive::new(name, "x").is_err(), "{name:?}");
            assert!(Directive::flag(name).is_err(), "{name:?}");
        }
        for folder in ["/a\nb", "/a\rb", "/a\0b", "/a\\b"] {
            assert!(Directive::path("output", Path::new(folder), "x").is_err(), "{folder:?}");
        }
        for file in ["", "a/b", "a b", "a'b"] {
            assert!(Directive::path("output", Path::new("/a"), file).is_err(), "{file:?}");
        }
    }

    proptest! {
        #[test]
        fn a_directive_is_one_line_and_its_quotes_are_closed(folder in "/[^\\\\\\pC]{0,40}") {
            let directive = Directive::path("output", Path::new(&folder), "slurm-%j.out").unwrap();
            let written = directive.to_string();
            prop_assert_eq!(written.lines().count(), 1);
            // What is read back by the rules of `sbatch` is the argument.
            let read = match written.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
                None => written.clone(),
                Some(inside) => {
                    let mut read = String::new();
                    let mut characters = inside.chars();
                    while let Some(c) = characters.next() {
                        prop_assert!(c != '\'');
                        read.push(if c == '\\' { characters.next().unwrap() } else { c });
                    }
                    read
                }
            };
            prop_assert_eq!(read, directive.argument());
        }
    }
}
