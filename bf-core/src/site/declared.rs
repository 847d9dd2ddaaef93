//! `site.yaml`: the state of the cache that the administrator declares (interface E of `docs/formats.md`).

mod images;

pub use images::is_name as is_image_name;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::image::{Digest, Reference};
use crate::model::ModelId;
use crate::report::Finding;
use crate::spec::parse::{self, ConfigError, MapReader, Node, Reader, Value};

/// What a site declares. Paths are absolute: in the file they are relative to the file's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The file it was read from.
    pub path: PathBuf,
    /// Its text, which `setup` publishes as the cache's copy.
    pub text: String,
    /// The shared cache.
    pub cache_dir: PathBuf,
    /// Group that everything in the cache gets.
    pub group: Option<String>,
    /// Mode of a model's files: 0755 or 0644.
    pub file_mode: u32,
    /// Models that the cache must have.
    pub models: Vec<DeclaredModel>,
    /// Native engines that the cache must have, by id.
    pub engines: BTreeMap<String, DeclaredEngine>,
    /// Container images that the cache must have, by name.
    pub images: BTreeMap<String, DeclaredImage>,
}

/// A container image that the cache must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredImage {
    /// What is pulled, pinned where the file has a `digest`; `None`: the image of the engine that it is named after.
    pub reference: Option<Reference>,
    /// Pins the engine's image, where there is no reference.
    pub digest: Option<Digest>,
}

/// A model that the cache must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredModel {
    /// Its id.
    pub repo: ModelId,
    /// A file or folder of this machine that it is imported from.
    pub path: Option<PathBuf>,
    /// Format of the weights to keep (`gguf`, `safetensors`); `None`: all that there is.
    pub format: Option<String>,
}

/// A native engine that the cache must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredEngine {
    /// Its version; `None`: that of the engine's definition.
    pub version: Option<String>,
    /// The interpreter it runs with; `None`: the newest that everybody can run.
    pub python: Option<PathBuf>,
}

/// Keys of interface E that this version reads and does not act on. To pass over them in silence would be to claim that
/// a cache is what was declared when it is not.
const LATER: [&str; 7] = ["tigerflow", "ondemand", "slurm", "runtime", "network", "policy", "retention"];

impl Declared {
    /// Reads the file at `path`.
    pub fn load(path: &Path) -> Result<(Self, Vec<Finding>), ConfigError> {
        let path = std::path::absolute(path).map_err(ConfigError::Read)?;
        parse::load(&path, Self::parse)
    }

    /// Parses the text of the file at `path`, which is absolute. Returns what it declares, and warnings.
    ///
    /// # Errors
    /// All findings, errors and warnings, in file order.
    pub fn parse(text: &str, path: &Path) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        parse::parse(text, path, |reader, root| read(reader, root, text, path))
    }
}

fn read(reader: &Reader, root: &Node, text: &str, path: &Path) -> Option<Declared> {
    let mut map = reader.map(root, "the file")?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    map.required_whole("schema", 1..=1);
    let cache_dir = map.required_string("cache_dir").filter(|path| match unusable(path) {
        None => true,
        Some((why, hint)) => {
            let message = format!("`cache_dir` {why}");
            reader.note(map.at_value("cache_dir").error("invalid_cache_dir", message).with_hint(hint));
            false
        }
    });
    let group = map.optional_string("group");
    let file_mode = file_mode(reader, &mut map);
    let models = models(reader, &mut map, folder);
    let engines = engines(reader, &mut map, folder);
    let images = images::images(reader, &mut map);
    for key in LATER {
        if let Some(entry) = map.optional(key) {
            let message = format!("this version cannot provide `{key}` yet");
            reader.note(
                entry.at.error("not_supported", message).with_hint("remove it, or use a newer bf-admin"),
            );
        }
    }
    map.finish();
    Some(Declared {
        path: path.to_owned(),
        text: text.to_owned(),
        cache_dir: folder.join(cache_dir?),
        group,
        file_mode: file_mode?,
        models,
        engines,
        images,
    })
}

/// Why a path can be no cache, and what to write instead.
fn unusable(path: &str) -> Option<(&'static str, &'static str)> {
    const WRITE_OUT: &str = "write the whole path out, as in /shared/blackfish";
    if path.starts_with('~') {
        Some(("begins with `~`, which only a shell replaces", WRITE_OUT))
    } else if path.contains('$') {
        Some(("holds a `$`, and variables are not replaced here", WRITE_OUT))
    } else if path.starts_with('/') && is_root(Path::new(path)) {
        Some(("is the root of the filesystem", "name a folder of its own, as /shared/blackfish"))
    } else {
        None
    }
}

/// Whether an absolute path leads to `/`, as its names tell.
fn is_root(path: &Path) -> bool {
    let depth = path.components().fold(0_usize, |depth, part| match part {
        Component::Normal(_) => depth + 1,
        Component::ParentDir => depth.saturating_sub(1),
        _ => depth,
    });
    depth == 0
}

/// `0644`, `0755`, with or without quotes. YAML 1.1 reads `0644` as octal, YAML 1.2 as decimal: both are meant the same.
fn file_mode(reader: &Reader, map: &mut MapReader<'_, '_>) -> Option<u32> {
    let Some(entry) = map.optional("file_mode") else { return Some(0o755) };
    let digits = match &entry.value.value {
        Value::Text(text) => text.trim().trim_start_matches("0o").trim_start_matches('0').to_owned(),
        other => other.describe().trim_matches('`').to_owned(),
    };
    match digits.as_str() {
        "644" | "420" => Some(0o644),
        "755" | "493" => Some(0o755),
        _ => {
            let message = "`file_mode` must be 0755, as models are by default, or 0644";
            reader.note(entry.value.at.error("unknown_value", message));
            None
        }
    }
}

fn models(reader: &Reader, map: &mut MapReader<'_, '_>, folder: &Path) -> Vec<DeclaredModel> {
    let mut models: Vec<DeclaredModel> = Vec::new();
    for node in map.optional_list("models") {
        let Some(mut item) = reader.map(node, "a model") else { continue };
        let repo_text = item.required_string("repo");
        let path = item.optional_string("path");
        let format = item.optional_choice("format", &["gguf", "safetensors"]);
        item.optional_choice("access", &["all"]);
        for key in ["revision", "include", "exclude", "allow_pickle"] {
            if let Some(entry) = item.optional(key) {
                let message = format!("this version cannot obey `{key}` yet");
                reader.note(
                    entry.at.error("not_supported", message).with_hint("remove it, or use a newer bf-admin"),
                );
            }
        }
        let at = item.at_value("repo");
        item.finish();
        let Some(repo_text) = repo_text else { continue };
        let repo = match repo_text.parse::<ModelId>() {
            Ok(repo) => repo,
            Err(error) => {
                reader.note(at.error("invalid_model_id", error.to_string()));
                continue;
            }
        };
        if models.iter().any(|other| other.repo == repo) {
            reader.note(at.error("duplicate_model", format!("the model `{repo}` is declared twice")));
            continue;
        }
        models.push(DeclaredModel {
            repo,
            path: path.map(|path| folder.join(path)),
            format: format.map(|index| ["gguf", "safetensors"][index].to_owned()),
        });
    }
    models
}

fn engines(reader: &Reader, map: &mut MapReader<'_, '_>, folder: &Path) -> BTreeMap<String, DeclaredEngine> {
    let mut engines = BTreeMap::new();
    for entry in map.optional_entries("engines") {
        if entry.value.value == Value::Null {
            engines.insert(entry.key.clone(), DeclaredEngine::default());
            continue;
        }
        let Some(mut item) = reader.map_of(entry, "an engine") else { continue };
        let version = item.optional_string("version");
        let python = item.optional_string("python").map(|python| folder.join(python));
        item.finish();
        engines.insert(entry.key.clone(), DeclaredEngine { version, python });
    }
    engines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Declared, Vec<String>> {
        Declared::parse(text, Path::new("/site/site.yaml")).map(|(declared, _)| declared).map_err(
            |findings| {
                findings
                    .iter()
                    .map(|finding| {
                        format!(
                            "{}:{} {}",
                            finding.line.unwrap_or(0),
                            finding.column.unwrap_or(0),
                            finding.code
                        )
                    })
                    .collect()
            },
        )
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let text = "schema: 1\ncache_dir: cache\nmodels:\n  - {repo: org/name, path: ../dl, format: gguf}\nengines: {llama_cpp: }\n";
        let declared = parse(text).unwrap();
        assert_eq!(declared.cache_dir, Path::new("/site/cache"));
        assert_eq!(declared.models[0].path.as_deref(), Some(Path::new("/site/../dl")));
        assert_eq!(declared.engines["llama_cpp"], DeclaredEngine::default());
        assert_eq!(declared.file_mode, 0o755);
    }

    #[test]
    fn what_can_be_no_cache_is_refused() {
        for path in ["/", "//", "/a/..", "~/cache", "~", "$HOME/cache", "/shared/${USER}"] {
            let found = parse(&format!("schema: 1\ncache_dir: \"{path}\"\n")).unwrap_err();
            assert_eq!(found, ["2:12 invalid_cache_dir"], "{path}");
        }
        assert!(parse("schema: 1\ncache_dir: ..\n").is_ok(), "relative to the file");
    }

    #[test]
    fn the_file_mode_is_one_of_two_however_it_is_written() {
        for (written, mode) in
            [("0644", 0o644), ("\"0644\"", 0o644), ("0o644", 0o644), ("0755", 0o755), ("755", 0o755)]
        {
            let declared = parse(&format!("schema: 1\ncache_dir: /c\nfile_mode: {written}\n")).unwrap();
            assert_eq!(declared.file_mode, mode, "{written}");
        }
        assert_eq!(parse("schema: 1\ncache_dir: /c\nfile_mode: 0777\n").unwrap_err(), ["3:12 unknown_value"]);
    }

    #[test]
    fn what_cannot_be_provided_is_refused_and_nothing_unknown_passes() {
        let text =
            "schema: 2\ncache_dir: /c\ntigerflow: {ml: true}\nmodles: []\nmodels:\n  - repo: ../../x\n";
        let found = parse(text).unwrap_err();
        assert_eq!(
            found,
            ["1:9 out_of_range", "3:1 not_supported", "4:1 unknown_key", "6:11 invalid_model_id"]
        );
    }
}
