//! Why nothing can be chosen of a model, and what to do about it.

use crate::model::choose::ChooseError;
use crate::model::{ModelId, WeightFormat};
use crate::report::{Exit, Failure};

pub(super) fn refused(id: &ModelId, error: ChooseError<Failure>) -> Failure {
    let message = format!("{id}: {error}");
    let invalid = |code, hint: &str| Failure::new(Exit::Invalid, code, &message).with_hint(hint);
    match error {
        // What the Hub says names the file itself.
        ChooseError::Read { error, .. } => error,
        ChooseError::Index { .. } => invalid(
            "model_damaged",
            "it is so on the Hub: `--exclude` leaves the index out, if other weights are there",
        ),
        ChooseError::Missing { .. } => invalid(
            "model_incomplete",
            "it is so on the Hub, or a pattern leaves them out: take another revision or format, or fewer patterns",
        ),
        ChooseError::Pickle { .. } => invalid(
            "pickle_refused",
            "take a revision or another model with safetensors or GGUF; if you trust who made it: `--allow-pickle`",
        ),
        ChooseError::NoWeights { there, .. } if there.is_empty() => invalid(
            "model_without_weights",
            "weights are *.safetensors, *.gguf, ggml-*.bin or *.bin, *.pt and *.pth",
        ),
        ChooseError::NoWeights { there, .. } => {
            let names: Vec<&str> = there.into_iter().map(WeightFormat::name).collect();
            invalid("model_without_weights", &format!("there is {}", names.join(", ")))
        }
    }
}
