//! What is wanted of a repository, and why something else is left out.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::model::{Pattern, WeightFormat};

/// Which files are wanted. By default: one set of weights, by the order of [`WeightFormat::ALL`], and all small files.
///
/// `exclude` comes before everything. `include` says which weights are wanted, and then all that match, not one set of them; it also brings in what would
/// be left out as too large or as another runtime's. Small files that are no weights stay, whether or not they match: without a configuration and a tokenizer
/// no weights can be loaded. (`huggingface_hub` leaves them out.)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The weights that are wanted, where the preferred ones are not.
    pub format: Option<Wanted>,
    /// Patterns of weights to keep; none: one set.
    pub include: Vec<Pattern>,
    /// Patterns of files to leave out.
    pub exclude: Vec<Pattern>,
    /// Keep everything that is not excluded. `format` and `include` then have no effect.
    pub all: bool,
    /// Keep what can hold code, where it would be kept if it could not: never without.
    pub allow_pickle: bool,
}

/// The weights that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those of a format.
    Format(WeightFormat),
    /// Mistral's own files, `consolidated*.safetensors`.
    Mistral,
}

impl Wanted {
    /// How they are stored.
    pub fn format(self) -> WeightFormat {
        match self {
            Self::Format(format) => format,
            Self::Mistral => WeightFormat::Safetensors,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(format) => format.fmt(f),
            Self::Mistral => f.write_str("mistral"),
        }
    }
}

impl FromStr for Wanted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text == "mistral" {
            return Ok(Self::Mistral);
        }
        let format = text.parse().map(Self::Format);
        format.map_err(|_| "a format is safetensors, gguf, ggml, pickle or mistral")
    }
}

/// A file that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its path.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Why.
    pub why: Why,
}

/// Why a file is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A pattern of `exclude` matches.
    Excluded,
    /// It is weights, and no pattern of `include` matches.
    NotIncluded,
    /// It can hold code that is run when it is loaded.
    Pickle,
    /// It is weights of another format than those that are loaded.
    OtherFormat,
    /// It is weights of the same format that are not loaded: another quantisation, the same once more, a folder that no engine looks into.
    OtherSet,
    /// It lies in a folder that is for another runtime, or for who trained the model.
    OtherRuntime,
    /// It is an index of shards that are not chosen.
    Index,
    /// It is no weights, and too large to be a part of a configuration or tokenizer.
    Large,
}

impl Why {
    /// A word for files and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::NotIncluded => "not_included",
            Self::Pickle => "pickle",
            Self::OtherFormat => "other_format",
            Self::OtherSet => "other_set",
            Self::OtherRuntime => "other_runtime",
            Self::Index => "index",
            Self::Large => "large",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Excluded => "excluded",
            Self::NotIncluded => "not included",
            Self::Pickle => "can hold code",
            Self::OtherFormat => "another format",
            Self::OtherSet => "not loaded",
            Self::OtherRuntime => "for another runtime",
            Self::Index => "an index of what is left out",
            Self::Large => "large, and no weights",
        })
    }
}

impl Serialize for Why {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
