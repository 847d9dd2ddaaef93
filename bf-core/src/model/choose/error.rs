//! Why no files can be chosen.

use super::Wanted;
use crate::model::{HeaderError, WeightFormat};

/// Why no files can be chosen. `E` is what the reader of indexes says.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError<E> {
    /// An index could not be read.
    #[error("{path} cannot be read: {error}")]
    Read {
        /// The index, as the list has it.
        path: String,
        /// What the reader says.
        error: E,
    },
    /// An index is not one.
    #[error("{path} is damaged: {error}")]
    Index {
        /// The index, as the list has it.
        path: String,
        /// What is wrong with it.
        error: HeaderError,
    },
    /// Files that belong to the weights are not there, or were left out by a pattern.
    #[error("a part of the weights is missing: {}", missing.join(", "))]
    Missing {
        /// Their paths, at least one.
        missing: Vec<String>,
    },
    /// There are only weights in pickle, which runs code when it is loaded, and nobody allowed them.
    #[error("there are only weights in pickle ({first}), which runs code when it is loaded")]
    Pickle {
        /// The first of them.
        first: String,
    },
    /// There are no weights that an engine could load, or none of the kind that is wanted.
    #[error("there are no {}weights", asked.map(|asked| format!("{asked} ")).unwrap_or_default())]
    NoWeights {
        /// What is wanted.
        asked: Option<Wanted>,
        /// The formats that there are.
        there: Vec<WeightFormat>,
    },
}
