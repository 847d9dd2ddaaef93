//! Templates: built into the program from `templates/`, each replaced by the site's file of the same name if there is one.
//!
//! Two kinds of rendering. A job script (`*.sh.j2`) gets every value quoted for the shell by the environment itself, so
//! that no template can forget it. An argument (an item of an engine's `command`) is text and never meets a shell.

mod builtin;
mod quote;

pub use quote::shell_quote;

use std::io;
use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value};
use serde::Serialize;
use thiserror::Error;

use crate::bounded::{self, Links};
use crate::report::{Exit, Explain, Failure};
use crate::site::{Layout, TrustError, trusted};

/// Why a template cannot be used.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// There is neither a built-in one nor one of the site.
    #[error("there is no template {name}")]
    Missing {
        /// Path below `templates/`.
        name: String,
    },
    /// The site's file is not to be trusted.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// The site's file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not a valid template, or names a value that does not exist.
    #[error("template {name}: {message}")]
    Invalid {
        /// Path below `templates/`, or the name of the engine's item.
        name: String,
        /// What is wrong and in which line.
        message: String,
    },
}

impl Explain for TemplateError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "template_not_found",
            Self::Untrusted(error) => error.code(),
            Self::Io(error) => error.code(),
            Self::Invalid { .. } => "template_invalid",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Untrusted(error) => error.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Missing { .. } => Exit::NotFound,
            Self::Untrusted(error) => error.exit(),
            Self::Io(error) => error.exit(),
            Self::Invalid { .. } => Exit::Invalid,
        }
    }
}

/// A template's text and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Path below `templates/`, as `local/service.sh.j2`.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The site's file it was read from; `None` for a built-in one.
    pub path: Option<PathBuf>,
}

/// The largest template of a site that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads the template `name` (as `local/service.sh.j2`): the site's if there is one and it can be trusted, else the built-in.
pub fn load(layout: Option<&Layout>, name: &str) -> Result<Source, TemplateError> {
    if let Some(layout) = layout {
        let path = layout.templates().join(name);
        if is_there(&path)? {
            let path = trusted(layout.root(), &path)?;
            return Ok(Source {
                name: name.into(),
                text: bounded::text(&path, MAX_BYTES, Links::Follow)?,
                path: Some(path),
            });
        }
    }
    let text = builtin::text(name).ok_or_else(|| TemplateError::Missing { name: name.into() })?;
    Ok(Source { name: name.into(), text: text.into(), path: None })
}

/// Whether the site has a file or folder of that name. One that cannot be looked at is an error: the built-in one instead of
/// the site's would be a surprise.
fn is_there(path: &Path) -> io::Result<bool> {
    match fs_err::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The names of all templates in a folder of `templates/` (as `services`), the site's and the built-in ones, sorted.
pub fn names(layout: Option<&Layout>, folder: &str) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> =
        builtin::names().filter(|name| name.starts_with(&format!("{folder}/"))).map(String::from).collect();
    if let Some(own) = layout.map(|layout| layout.templates().join(folder))
        && is_there(&own)?
    {
        for entry in fs_err::read_dir(own)? {
            let file = entry?.file_name();
            // Notes and backups beside them are the site's own business.
            let is_template =
                |file: &&str| Path::new(file).extension().is_some_and(|end| end == "yaml" || end == "j2");
            if let Some(file) = file.to_str().filter(is_template) {
                names.push(format!("{folder}/{file}"));
            }
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Renders a job script: every value is quoted for the shell, an unknown name is an error.
pub fn render_script(source: &Source, values: impl Serialize) -> Result<String, TemplateError> {
    let mut environment = environment()?;
    environment.set_formatter(quoting);
    render(&environment, &source.name, &source.text, values)
}

/// Renders one argument: text as it is, an unknown name is an error. `name` says which one, for errors.
pub fn render_argument(name: &str, text: &str, values: impl Serialize) -> Result<String, TemplateError> {
    let environment = environment()?;
    render(&environment, name, text, values)
}

fn environment() -> Result<Environment<'static>, TemplateError> {
    let syntax = SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .map_err(|error| TemplateError::Invalid { name: "(syntax)".into(), message: error.to_string() })?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // By default the ending of a template's name chooses an escaping; ours is chosen by the caller.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    Ok(environment)
}

fn render(
    environment: &Environment<'_>,
    name: &str,
    text: &str,
    values: impl Serialize,
) -> Result<String, TemplateError> {
    environment.render_named_str(name, text, Value::from(Serde(values))).map_err(|error| {
        let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
        TemplateError::Invalid { name: name.into(), message: format!("{}{detail}{line}", error.kind()) }
    })
}

/// Writes a value quoted for the shell; a list becomes several words.
fn quoting(out: &mut Output<'_>, _state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    use minijinja::value::ValueKind;
    let invalid = |message: String| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message);
    let word = |value: &Value| {
        let text = match value.kind() {
            ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
            ValueKind::Number | ValueKind::Bool => value.to_string(),
            kind => return Err(invalid(format!("a {kind} cannot be a word of a script"))),
        };
        shell_quote(&text)
            .ok_or_else(|| invalid("a value with a NUL byte cannot be a word of a script".into()))
    };
    let text = match value.kind() {
        ValueKind::Seq => value.try_iter()?.map(|item| word(&item)).collect::<Result<Vec<_>, _>>()?.join(" "),
        _ => word(value)?,
    };
    out.write_str(&text).map_err(minijinja::Error::from)
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn script(text: &str) -> Source {
        Source { name: "test.sh.j2".into(), text: text.into(), path: None }
    }

    #[test]
    fn every_value_of_a_script_is_quoted() {
        let hostile = "a b'; $(touch /tmp/x) `id`\n\"";
        let text = render_script(&script("printf %s {{ value }}"), context! { value => hostile }).unwrap();
        let output = std::process::Command::new("sh").args(["-c", &text]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), hostile);
    }

    #[test]
    fn a_list_becomes_words_and_an_unknown_name_an_error() {
        let text =
            render_script(&script("run {{ arguments }}"), context! { arguments => ["a b", "c"] }).unwrap();
        assert_eq!(text, "run 'a b' c");
        let error = render_script(&script("one\n{{ nothing }}"), context! {}).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn a_file_of_the_site_replaces_the_built_in_one() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let name = "local/service.sh.j2";
        assert_eq!(load(Some(&layout), name).unwrap().path, None);
        fs_err::create_dir_all(layout.templates().join("local")).unwrap();
        fs_err::write(layout.templates().join(name), "own").unwrap();
        assert_eq!(load(Some(&layout), name).unwrap().text, "own");
    }
}
