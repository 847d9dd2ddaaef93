//! What a model is called: `org/name` or `name`, and the folder it lives in.
//!
//! Rules: `huggingface_hub`'s `validate_repo_id`. Folder names: hf-hub's `Repo::folder_name`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::ModelError;
use crate::digest;

/// The longest organisation or name, in characters.
const MAX_PART: usize = 96;

/// What folders of models begin with.
const PREFIX: &str = "models--";

/// A model's id: `org/name`, or `name` for the few models without an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId {
    org: Option<String>,
    name: String,
}

impl ModelId {
    /// Reads an id by the rules of the Hub: what may be fetched.
    ///
    /// # Errors
    /// [`ModelError::InvalidId`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        Self::stored(text).and_then(Self::hub_rules).map_err(|reason| invalid(text, reason))
    }

    /// Reads the id of a model that is on disk, as [`ModelId::from_folder_name`] gives it.
    ///
    /// The one difference to [`ModelId::parse`]: the name may hold `--`, because such folders exist and must be usable.
    ///
    /// # Errors
    /// [`ModelError::InvalidId`] says which rule is broken.
    pub fn parse_stored(text: &str) -> Result<Self, ModelError> {
        Self::stored(text).map_err(|reason| invalid(text, reason))
    }

    /// The id that a folder name stands for, or nothing when it is no model's folder.
    ///
    /// The organisation ends at the first `--`; without another `--` there is no organisation.
    pub fn from_folder_name(folder: &str) -> Option<Self> {
        let rest = folder.strip_prefix(PREFIX).filter(|rest| !rest.contains('/'))?;
        Self::stored(&rest.replacen("--", "/", 1)).ok()
    }

    /// The folder below a cache that holds this model: `models--org--name`.
    pub fn folder_name(&self) -> String {
        hf_hub::Repo::model(self.to_string()).folder_name()
    }

    /// The organisation, where there is one.
    pub fn org(&self) -> Option<&str> {
        self.org.as_deref()
    }

    /// The name without the organisation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// 12 hex digits for a revision of this model, by its commit: what the comments of jobs say that they use (interface H). The beginning of
    /// the SHA-256 of `ORG/NAME@COMMIT`.
    pub fn mark(&self, commit: &str) -> String {
        mark(&self.to_string(), commit)
    }

    fn stored(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("it is empty");
        }
        let (org, name) = match text.split_once('/') {
            Some((_, name)) if name.contains('/') => return Err("it has more than one '/'"),
            Some((org, name)) => (Some(org), name),
            None => (None, text),
        };
        for part in org.into_iter().chain([name]) {
            part_rules(part)?;
        }
        // A "--" in front of the name proper would be read back as the end of the organisation.
        if org.unwrap_or(name).contains("--") {
            return Err("it holds '--'");
        }
        Ok(Self { org: org.map(str::to_owned), name: name.to_owned() })
    }

    fn hub_rules(self) -> Result<Self, &'static str> {
        if self.name.contains("--") {
            return Err("it holds '--'");
        }
        if self.name.to_ascii_lowercase().ends_with(".git") {
            return Err("it ends with '.git'");
        }
        Ok(self)
    }
}

/// [`ModelId::mark`], for an id that was written down.
pub fn mark(repo: &str, commit: &str) -> String {
    let mut mark = digest::of_bytes(format!("{repo}@{commit}").as_bytes());
    mark.truncate(12);
    mark
}

fn part_rules(part: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if part.is_empty() {
        return Err("a part of it is empty");
    }
    if !part.chars().all(allowed) {
        return Err(
            "only letters, digits, '.', '_' and '-' are allowed, with one '/' between organisation and name",
        );
    }
    if part.len() > MAX_PART {
        return Err("a part of it is longer than 96 characters");
    }
    if part.starts_with(['.', '-']) || part.ends_with(['.', '-']) {
        return Err("a part of it begins or ends with '.' or '-'");
    }
    if part.contains("..") {
        return Err("it holds '..'");
    }
    Ok(())
}

fn invalid(text: &str, reason: &'static str) -> ModelError {
    ModelError::InvalidId { text: text.to_owned(), reason }
}

impl FromStr for ModelId {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        Self::parse(text)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.org {
            Some(org) => write!(f, "{org}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Serialize for ModelId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{Exit, Explain};

    #[test]
    fn usual_ids_are_read() {
        for text in
            ["gpt2", "HuggingFaceTB/SmolLM2-135M-Instruct", "a/b.c_d-e", "openai/whisper-large-v3", "_a/b_"]
        {
            let id = ModelId::parse(text).unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(ModelId::from_folder_name(&id.folder_name()), Some(id));
        }
        let id = ModelId::parse("openai/whisper-tiny").unwrap();
        assert_eq!((id.org(), id.name()), (Some("openai"), "whisper-tiny"));
        assert_eq!(id.folder_name(), "models--openai--whisper-tiny");
    }

    #[test]
    fn hostile_ids_are_refused_with_a_sentence() {
        let long = "a".repeat(97);
        for text in [
            "", "/", "a/", "/a", "a/b/c", "../../x", "..", "a/..", ".a", "a.", "-a/b", "a/b-", "a--b",
            "a/b--c", "a/b..c", "a\\b", "a\0b", "a b", "a/b\n", "ä/b", "a/b.git", &long, "$(id)", "a;b",
            "~/x", "http://x",
        ] {
            let error = ModelId::parse(text).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{text:?}");
            let shown = error.to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            assert!(shown.len() < 300, "{shown}");
        }
    }

    #[test]
    fn folders_are_split_at_the_first_double_dash() {
        let id = |folder: &str| ModelId::from_folder_name(folder).map(|id| id.to_string());
        assert_eq!(id("models--gpt2").as_deref(), Some("gpt2"));
        assert_eq!(id("models--org--my--model").as_deref(), Some("org/my--model"));
        for folder in [
            "models--",
            "models----",
            "datasets--a--b",
            "gpt2",
            "models--..--..",
            "models--a--",
            "models--a/b",
        ] {
            assert_eq!(id(folder), None, "{folder}");
        }
        let odd = ModelId::parse_stored("org/my--model").unwrap();
        assert_eq!(odd.folder_name(), "models--org--my--model");
    }

    proptest! {
        #[test]
        fn what_is_read_from_a_folder_leads_back_to_it(folder in "models--[a-zA-Z0-9._-]{0,40}") {
            if let Some(id) = ModelId::from_folder_name(&folder) {
                prop_assert_eq!(id.folder_name(), folder);
                prop_assert_eq!(ModelId::parse_stored(&id.to_string()).unwrap(), id);
            }
        }

        #[test]
        fn no_text_makes_a_path_that_leaves_the_cache(text in "\\PC{0,60}") {
            if let Ok(id) = ModelId::parse(&text) {
                prop_assert_eq!(std::path::Path::new(&id.folder_name()).components().count(), 1);
            }
        }
    }
}
