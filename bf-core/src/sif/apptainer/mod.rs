//! What Apptainer expects in the root filesystem of an image: its scripts, labels and folders. The texts are ours; what they do is
//! what Apptainer's own do, where that is what the image's maker meant.

mod environment;
mod folders;
mod labels;
mod runscript;
mod scripts;

pub use folders::{RootError, install};
pub use labels::labels;
pub use runscript::runscript;
pub use scripts::STARTSCRIPT;

use super::Facts;

/// What the image is made of, as Apptainer writes it down.
pub fn definition(facts: &Facts) -> String {
    format!("bootstrap: docker\nfrom: {}\n\n", facts.reference)
}

/// The scripts that set variables and that `apptainer inspect --environment` shows: path in the image, text.
pub fn environment_scripts(facts: &Facts) -> Vec<(String, String)> {
    vec![
        ("/.singularity.d/env/10-docker2singularity.sh".into(), environment::script(&facts.run.env)),
        ("/.singularity.d/env/90-environment.sh".into(), scripts::ENVIRONMENT.into()),
    ]
}

#[cfg(test)]
mod tests;
