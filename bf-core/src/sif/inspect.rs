//! What `apptainer inspect` reads: labels, scripts and definition as one JSON document. Without it, it starts the container to look.

use serde_json::json;

use super::{Facts, apptainer};

/// The object's name.
pub(super) const NAME: &str = "inspect-metadata.json";

/// The document, in the form that Apptainer 1.4 gives it.
pub(super) fn metadata(facts: &Facts) -> Vec<u8> {
    let environment: serde_json::Map<_, _> = apptainer::environment_scripts(facts)
        .into_iter()
        .map(|(path, text)| (path, text.trim_end().into()))
        .collect();
    let document = json!({
        "data": {"attributes": {
            "environment": environment,
            "labels": apptainer::labels(facts),
            "runscript": apptainer::runscript(&facts.run).trim_end(),
            "deffile": apptainer::definition(facts).trim_end(),
            "startscript": apptainer::STARTSCRIPT.trim_end(),
        }},
        "type": "container",
    });
    document.to_string().into_bytes()
}
