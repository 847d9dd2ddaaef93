//! The files of `templates/`, embedded in the program.

/// One line for each file: a template that is not here is not built in.
macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../templates/", $name)))),*]
    };
}

const BUILTIN: &[(&str, &str)] = builtin![
    "local/service.sh.j2",
    "services/llama_cpp.yaml",
    "services/vllm.yaml",
    "slurm/service.sh.j2",
    "site.yaml",
    "resource_specs.yaml"
];

/// The text of the built-in template `name`.
pub(super) fn text(name: &str) -> Option<&'static str> {
    BUILTIN.iter().find(|(own, _)| *own == name).map(|(_, text)| *text)
}

/// The names of all built-in templates.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates");
        for entry in walkdir::WalkDir::new(folder) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap();
                assert!(text(name).is_some(), "{name} is in templates/ and not built in");
            }
        }
    }
}
