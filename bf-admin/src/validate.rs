//! Checks `site.yaml` and `resource_specs.yaml`, told apart by what they say.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bf_core::report::{Failure, Finding, Report, Severity};
use bf_core::service;
use bf_core::site::{Declared, Layout};
use bf_core::spec::parse::{Entry, Node, ReadError, Reader, Value, read_text};
use bf_core::spec::{ResourceSpecs, snippet};
use serde::Serialize;

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
                    Kind::Specs => "resource_specs.yaml",
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

fn file(path: &Path) -> Result<File, Failure> {
    let text = match read_text(path) {
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
    };
    for finding in &mut findings {
        finding.file = Some(path.to_owned()); // as it was named
    }
    Ok(File { path: path.to_owned(), kind, text, findings })
}

/// By the keys at the top; by the name where these say nothing.
fn kind(text: &str, path: &Path) -> Kind {
    let root = Reader::new().document(text);
    let Some(Node { value: Value::Map(entries), .. }) = &root else { return kind_of_name(path) };
    let has = |names: &[&str]| entries.iter().any(|entry| names.contains(&entry.key.as_str()));
    let models = entries.iter().find(|entry| entry.key == "models").map(|entry| &entry.value.value);
    if has(&["partitions", "time"]) {
        Kind::Specs
    } else if has(&["schema", "cache_dir", "engines"]) {
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
            (None, _) => findings.push(entry.at.error(
                "engine_not_native",
                format!("the engine `{}` is a container image, which this version cannot provide", entry.key),
            )),
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
    for model in declared.models.iter().filter(|model| model.path.as_ref().is_some_and(|path| !path.exists()))
    {
        let shown = model.path.as_deref().unwrap_or(Path::new("")).display().to_string();
        let message = format!("the `path` of model `{}` is not there: {shown}", model.repo);
        findings.push(
            Finding::warning("path_not_found", message)
                .with_hint("it is needed until the model is in the cache"),
        );
    }
    findings.sort_by_key(|finding| (finding.line.is_none(), finding.line, finding.column));
    Ok(findings)
}

/// The entries of the map at `key` of the document.
fn entries<'a>(root: Option<&'a Node>, key: &str) -> &'a [Entry] {
    let Some(Node { value: Value::Map(entries), .. }) = root else { return &[] };
    match entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value.value) {
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
        assert_eq!(kind("", "tiers.yaml"), Kind::Specs);
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
            [("engine_not_found", Some(4)), ("engine_version", Some(5)), ("path_not_found", None)]
        );
        assert!(!validated.is_ok());
        assert!(validated.findings.iter().all(|finding| finding.file.as_ref() == Some(&path)));
        assert_eq!(files(&[dir.path().join("none")]).unwrap_err().exit, Exit::NotFound);
    }
}
