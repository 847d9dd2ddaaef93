//! What a service does for its user.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a service does. On the wire with underscores, on the command line with dashes, as upstream has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Chat and completions.
    TextGeneration,
    /// Audio to text.
    SpeechRecognition,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::TextGeneration, Self::SpeechRecognition];

    /// As in files and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::TextGeneration => "text_generation",
            Self::SpeechRecognition => "speech_recognition",
        }
    }

    /// From its name, with underscores or dashes.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name.replace('-', "_"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
