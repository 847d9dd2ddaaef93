//! `models:` of site.yaml.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::forms::{MODEL, PATH, PATTERN, REVISION};
use crate::model::{ModelId, Pattern, Revision};
use crate::shape::{Fault, Format, Key, Map, Shape, View};
use crate::spec::parse::{Node, Reader};

/// A model that the cache must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredModel {
    /// Its id.
    pub repo: ModelId,
    /// A file or folder of this machine that it is imported from.
    pub path: Option<PathBuf>,
    /// Format of the weights to keep (`gguf`, `safetensors`); `None`: all that there is.
    pub format: Option<String>,
    /// Commit, branch or tag; `None`: what the Hub calls main.
    pub revision: Option<Revision>,
    /// Patterns of files to keep; none: all that an engine loads.
    pub include: Vec<Pattern>,
    /// Patterns of files to leave out.
    pub exclude: Vec<Pattern>,
    /// Who may read it.
    pub access: Access,
    /// Whether that is written down: what the Hub gives to some only needs it.
    pub access_is_given: bool,
    /// Whether weights that can hold code are kept.
    pub allow_pickle: bool,
}

/// Who may read a model: `all`, or `group:NAME`, here and in site.lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Access {
    /// Everybody.
    #[default]
    All,
    /// The members of a group.
    Group(String),
}

impl Access {
    /// Whether it is everybody.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl From<Access> for String {
    fn from(access: Access) -> Self {
        access.to_string()
    }
}

impl TryFrom<String> for Access {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|fault: Fault| fault.message)
    }
}

impl FromStr for Access {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text.strip_prefix("group:") {
            Some(group) if !group.is_empty() && !group.contains(char::is_whitespace) => {
                Ok(Self::Group(group.to_owned()))
            }
            None if text == "all" => Ok(Self::All),
            _ => {
                let message = format!("`access` must be `all` or `group:NAME`, not `{text}`");
                let name = text.rsplit(':').next().unwrap_or_default().trim();
                let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
                let example = if is_name { name } else { "licensed" };
                Err(Fault::new("unknown_value", message)
                    .with_hint(format!("for the members of a group, write `group:{example}`")))
            }
        }
    }
}

pub(in crate::site) static ACCESS: Format = Format {
    is: "`all`, or `group:NAME`",
    examples: &["all", "group:licensed"],
    is_number: false,
    check: |_, text| text.parse::<Access>().map(drop),
};

pub(super) static MAP: Map = Map::of(
    "a model",
    &[
        Key::new("repo", Shape::Format(&MODEL), "Its id").required(),
        Key::new("path", Shape::Format(&PATH), "A file or folder of this machine that it is imported from"),
        Key::new("format", Shape::Choice(&["gguf", "safetensors"]), "Keep weights in this format only")
            .or("all there are"),
        Key::new("access", Shape::Format(&ACCESS), "Who may read it").or("all"),
        Key::new("revision", Shape::Format(&REVISION), "Commit, branch or tag").or("main"),
        Key::new("include", Shape::List(&Shape::Format(&PATTERN)), "Keep only files of these names")
            .or("all"),
        Key::new("exclude", Shape::List(&Shape::Format(&PATTERN)), "Leave out files of these names"),
        Key::new("allow_pickle", Shape::Bool, "Keep weights that can hold code").or("false"),
    ],
);

pub(super) fn read(reader: &Reader, items: &[Node], folder: &Path) -> Vec<DeclaredModel> {
    let mut models: Vec<DeclaredModel> = Vec::new();
    for item in items {
        let view = View::of(item);
        let access = view.parsed("access").unwrap_or_default();
        let Some(repo) = view.parsed::<ModelId>("repo") else { continue };
        if models.iter().any(|other| other.repo == repo) {
            let message = format!("the model `{repo}` is declared twice");
            reader.note(view.at("repo").error("duplicate_model", message));
            continue;
        }
        models.push(DeclaredModel {
            repo,
            path: view.text("path").map(|path| folder.join(path)),
            format: view.text("format"),
            revision: view.parsed("revision"),
            include: patterns(view, "include"),
            exclude: patterns(view, "exclude"),
            access,
            access_is_given: view.text("access").is_some(),
            allow_pickle: view.bool("allow_pickle").unwrap_or(false),
        });
    }
    models
}

/// Those that are patterns; what is none has a finding.
fn patterns(view: View<'_>, key: &str) -> Vec<Pattern> {
    view.texts(key).iter().filter_map(|text| text.parse().ok()).collect()
}
