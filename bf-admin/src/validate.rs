//! Checks `site.yaml` and `resource_specs.yaml`, told apart by what they say.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bf_core::report::{Failure, Finding, Report, Severity};
use bf_core::service::{self, Engine};
use bf_core::shape::View;
use bf_core::site::{Declared, Layout};
use bf_core::spec::parse::{Entry, Node, ReadError, Reader, Value, read_stream, read_text};
use bf_core::spec::{ResourceSpecs, snippet};
use serde::Serialize;

use crate::{image, session};

/// The findings about some files.
#[derive(Debug, Serialize)]
pub(crate) struct Validated {
    ok: bool,
    findings: Vec<Finding>,
    #[serde(skip)]
    files: Vec<File>,
}

/// One file, for people.
#[derive(Debug)]
struct File {
    path: PathBuf,
    kind: Kind,
    text: String,
    findings: Vec<Finding>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Site,
    Specs,
    /// It says nothing that tells.
    Either,
}

impl Validated {
    /// Whether there is no error. Warnings are none.
    pub(crate) fn is_ok(&self) -> bool {
        self.ok
    }
}

impl Report for Validated {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for file in &self.files {
            snippet::write(out, &file.findings, &file.text)?;
            if is_ok(&file.findings) {
                let what = match file.kind {
                    Kind::Site => "site.yaml",
                    Kind::Specs | Kind::Either => "resource_specs.yaml",
                };
                writeln!(out, "{}: valid, read as {what}", file.path.display())?;
            }
        }
        Ok(())
    }
}

fn is_ok(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity == Severity::Warning)
}

/// Checks each of them. One that cannot be read is a failure, one that is wrong is not.
pub(crate) fn files(paths: &[PathBuf]) -> Result<Validated, Failure> {
    let files = paths.iter().map(|path| file(path)).collect::<Result<Vec<_>, _>>()?;
    let findings: Vec<Finding> = files.iter().flat_map(|file| file.findings.clone()).collect();
    Ok(Validated { ok: is_ok(&findings), findings, files })
}

/// How standard input is named, in findings as well.
const STDIN: &str = "-";

fn file(path: &Path) -> Result<File, Failure> {
    let read = if path == Path::new(STDIN) { read_stream(io::stdin().lock()) } else { read_text(path) };
    let text = match read {
        Ok(text) => text,
        Err(ReadError::Io(error)) => return Err(error.into()),
        Err(ReadError::Invalid(mut finding)) => {
            finding.file = Some(path.to_owned());
            let kind = kind_of_name(path);
            return Ok(File { path: path.to_owned(), kind, text: String::new(), findings: vec![finding] });
        }
    };
    let kind = kind(&text, path);
    let mut findings = match kind {
        Kind::Specs => match ResourceSpecs::parse(&text, path) {
            Ok((_, findings)) | Err(findings) => findings,
        },
        Kind::Site => site(&text, path)?,
        Kind::Either => vec![
            Finding::error("empty", "the file is empty")
                .at(1, 1)
                .with_hint("a site.yaml needs `schema:` and `cache_dir:`, a resource_specs.yaml `partitions:`; `bf-admin init` writes both"),
        ],
    };
    for finding in &mut findings {
        finding.file = Some(path.to_owned()); // as it was named
    }
    Ok(File { path: path.to_owned(), kind, text, findings })
}

/// Keys at the top that only a site.yaml has.
const SITE_ONLY: [&str; 11] = [
    "schema",
    "cache_dir",
    "engines",
    "images",
    "slurm",
    "runtime",
    "network",
    "policy",
    "retention",
    "tigerflow",
    "ondemand",
];

/// By the keys at the top; by the name where these say nothing.
fn kind(text: &str, path: &Path) -> Kind {
    let root = Reader::new().document(text);
    if matches!(&root, Some(Node { value: Value::Null, .. })) {
        return Kind::Either;
    }
    let Some(Node { value: Value::Map(entries), .. }) = &root else { return kind_of_name(path) };
    let has = |names: &[&str]| entries.iter().any(|entry| names.contains(&entry.key.as_str()));
    let models = entries.iter().find(|entry| entry.key == "models").map(|entry| &entry.value.value);
    if has(&["partitions", "time"]) {
        Kind::Specs
    } else if has(&SITE_ONLY) {
        Kind::Site
    } else {
        match models {
            Some(Value::Map(_)) => Kind::Specs,
            Some(Value::List(_)) => Kind::Site,
            _ => kind_of_name(path),
        }
    }
}

fn kind_of_name(path: &Path) -> Kind {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.contains("site") { Kind::Site } else { Kind::Specs }
}

/// What the file says, and whether this machine and this version can provide it.
fn site(text: &str, path: &Path) -> Result<Vec<Finding>, Failure> {
    let (declared, mut findings) = match Declared::parse(text, &std::path::absolute(path)?) {
        Ok(valid) => valid,
        Err(findings) => return Ok(findings),
    };
    let root = Reader::new().document(text);
    let layout = Layout::new(&declared.cache_dir);
    findings.extend(at(root.as_ref(), "group").map_or(Ok(None), |entry| group(entry, &declared))?);
    findings.extend(at(root.as_ref(), "cache_dir").and_then(|entry| cache_dir(entry, layout.root())));
    let engines = service::engines(Some(&layout))?;
    for entry in entries(root.as_ref(), "engines") {
        let Some(engine) = engines.iter().find(|engine| engine.id == entry.key) else {
            let known: Vec<&str> = engines.iter().map(|engine| engine.id.as_str()).collect();
            let finding = entry.at.error("engine_not_found", format!("there is no engine `{}`", entry.key));
            findings.push(finding.with_hint(format!("there are: {}", known.join(", "))));
            continue;
        };
        let wanted = declared.engines.get(&entry.key).and_then(|wanted| wanted.version.as_ref());
        let pinned = engine.native.as_ref().map(|native| &native.version);
        match (pinned, wanted) {
            (None, _) => findings.push(
                entry
                    .at
                    .error(
                        "engine_not_native",
                        format!("the engine `{}` runs in a container only", entry.key),
                    )
                    .with_hint("declare it under `images` instead of `engines`"),
            ),
            (Some(pinned), Some(wanted)) if pinned != wanted => findings.push(
                entry
                    .at
                    .error(
                        "engine_version",
                        format!("the engine `{}` is pinned to {pinned}, not {wanted}", entry.key),
                    )
                    .with_hint("leave out `version`"),
            ),
            _ => {}
        }
    }
    findings.extend(images(root.as_ref(), &engines, &declared));
    findings.extend(models(root.as_ref(), &declared));
    findings.sort_by_key(|finding| (finding.line.is_none(), finding.line, finding.column));
    Ok(findings)
}

/// Models that cannot be published, since what they come from is not there.
fn models(root: Option<&Node>, declared: &Declared) -> Vec<Finding> {
    let nodes = match at(root, "models").map(|entry| &entry.value.value) {
        Some(Value::List(nodes)) => nodes.as_slice(),
        _ => &[],
    };
    let mut findings = Vec::new();
    // As many as are declared, in the same order, where nothing is wrong.
    for (model, node) in declared.models.iter().zip(nodes) {
        let view = View::of(node);
        match &model.path {
            Some(path) if !path.exists() => {
                let message =
                    format!("the `path` of model `{}` is not there: {}", model.repo, path.display());
                findings.push(
                    view.at("path")
                        .warning("path_not_found", message)
                        .with_hint("it is needed until the model is in the cache"),
                );
            }
            Some(_) => {}
            None => {
                let folder = Layout::new(&declared.cache_dir).models().join(model.repo.folder_name());
                if fs_err::symlink_metadata(folder).is_err() {
                    let message = format!("the model `{}` has no `path` and is not in the cache", model.repo);
                    findings.push(view.at("repo").warning("model_not_there", message).with_hint(
                        "this version downloads nothing: give it a `path`, or run `bf-admin model import`",
                    ));
                }
            }
        }
    }
    findings
}

/// Images that no engine is called like, and those that would have the file of another one.
fn images(root: Option<&Node>, engines: &[Engine], declared: &Declared) -> Vec<Finding> {
    let mut files: BTreeMap<String, &Entry> = BTreeMap::new();
    let mut findings = Vec::new();
    for entry in entries(root, "images") {
        let Some(image) = declared.images.get(&entry.key) else { continue };
        let file = match image::reference(engines, &entry.key, image) {
            Ok(reference) => reference.sif_name(),
            Err(failure) => {
                let finding = entry.at.error(failure.code, failure.message);
                findings.push(match failure.hint {
                    Some(hint) => finding.with_hint(hint),
                    None => finding,
                });
                continue;
            }
        };
        if let Some(first) = files.get(&file) {
            let message = format!(
                "the images `{}` (line {}) and `{}` have the same file, {file}",
                first.key, first.at.line, entry.key
            );
            findings.push(entry.at.error("duplicate_image", message).with_hint("keep one of the two"));
        } else {
            files.insert(file, entry);
        }
    }
    findings
}

/// A group that this machine does not have.
fn group(entry: &Entry, declared: &Declared) -> io::Result<Option<Finding>> {
    let Some(name) = &declared.group else { return Ok(None) };
    let message = format!("there is no group {name} on this machine");
    let unknown = || entry.value.at.error("group_not_found", message).with_hint(session::GROUP_HINT);
    Ok(session::group(name)?.is_none().then(unknown))
}

/// What is at `cache_dir` and is no folder, or looks like a folder of something else.
fn cache_dir(entry: &Entry, cache: &Path) -> Option<Finding> {
    let shown = cache.display();
    let metadata = fs_err::metadata(cache).ok()?;
    if !metadata.is_dir() {
        let message = format!("the cache {shown} is not a folder");
        return Some(entry.value.at.error("cache_not_a_folder", message).with_hint("name another place"));
    }
    let is_cache = ["models", "engines", "images", "site.lock"]
        .iter()
        .any(|own| fs_err::symlink_metadata(cache.join(own)).is_ok());
    let is_empty = fs_err::read_dir(cache).ok()?.next().is_none();
    (!is_cache && !is_empty).then(|| {
        let message = format!("{shown} is not empty, and has nothing of a cache in it");
        let warning = entry.value.at.warning("cache_not_empty", message);
        warning.with_hint("is it meant? `bf-admin setup` puts the cache between what is there")
    })
}

/// The entry at `key` of the document.
fn at<'a>(root: Option<&'a Node>, key: &str) -> Option<&'a Entry> {
    let Some(Node { value: Value::Map(entries), .. }) = root else { return None };
    entries.iter().find(|entry| entry.key == key)
}

/// The entries of the map at `key` of the document.
fn entries<'a>(root: Option<&'a Node>, key: &str) -> &'a [Entry] {
    match at(root, key).map(|entry| &entry.value.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use bf_core::report::Exit;

    use super::*;

    #[test]
    fn files_are_told_apart_by_what_they_say() {
        let kind = |text: &str, name: &str| kind(text, Path::new(name));
        assert_eq!(kind("partitions: {}\n", "site.yaml"), Kind::Specs);
        assert_eq!(kind("schema: 1\ncache_dir: /c\n", "resource_specs.yaml"), Kind::Site);
        assert_eq!(kind("models: {a: b.c}\n", "x.yaml"), Kind::Specs);
        assert_eq!(kind("models: [{repo: a}]\n", "x.yaml"), Kind::Site);
        assert_eq!(kind("a: [", "my-site.yaml"), Kind::Site);
        assert_eq!(kind("policy: {}\n", "x.yaml"), Kind::Site);
        assert_eq!(kind("", "tiers.yaml"), Kind::Either);
        assert_eq!(kind("# nothing yet\n", "site.yaml"), Kind::Either);
    }

    #[test]
    fn a_group_that_is_not_there_and_a_cache_that_is_none_have_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.yaml");
        let found = |text: &str| -> Vec<_> {
            fs_err::write(&path, text).unwrap();
            let validated = files(std::slice::from_ref(&path)).unwrap();
            validated.findings.iter().map(|finding| (finding.code, finding.line, finding.column)).collect()
        };
        let unknown = "schema: 1\ncache_dir: c\ngroup: no-such-group\n";
        assert_eq!(found(unknown), [("group_not_found", Some(3), Some(8))]);
        fs_err::write(dir.path().join("f"), "").unwrap();
        assert_eq!(found("schema: 1\ncache_dir: f\n"), [("cache_not_a_folder", Some(2), Some(12))]);
        assert_eq!(found("schema: 1\ncache_dir: .\n"), [("cache_not_empty", Some(2), Some(12))]);
        fs_err::create_dir(dir.path().join("c")).unwrap();
        assert_eq!(found("schema: 1\ncache_dir: c\n"), []);
        assert_eq!(found(""), [("empty", Some(1), Some(1))]);
    }

    #[test]
    fn an_image_that_no_engine_is_called_like_has_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.yaml");
        let text = "schema: 1\ncache_dir: c\nimages:\n  llama_cpp:\n  llama_cpp-gpu:\n  vllmm:\n  x: {ref: 'a.io/llama.cpp:server'}\n";
        fs_err::write(&path, text).unwrap();
        let validated = files(std::slice::from_ref(&path)).unwrap();
        let found: Vec<_> = validated.findings.iter().map(|finding| (finding.code, finding.line)).collect();
        assert_eq!(found, [("image_without_ref", Some(6)), ("duplicate_image", Some(7))]);
    }

    #[test]
    fn what_this_version_cannot_provide_has_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.yaml");
        let text = "schema: 1\ncache_dir: c\nengines:\n  vllmm:\n  llama_cpp: {version: \"1\"}\nmodels:\n  - {repo: a/b, path: none}\n";
        fs_err::write(&path, text).unwrap();
        let validated = files(std::slice::from_ref(&path)).unwrap();
        let found: Vec<_> = validated.findings.iter().map(|finding| (finding.code, finding.line)).collect();
        assert_eq!(
            found,
            [("engine_not_found", Some(4)), ("engine_version", Some(5)), ("path_not_found", Some(7))]
        );
        assert!(!validated.is_ok());
        assert!(validated.findings.iter().all(|finding| finding.file.as_ref() == Some(&path)));
        assert_eq!(files(&[dir.path().join("none")]).unwrap_err().exit, Exit::NotFound);
    }
}
