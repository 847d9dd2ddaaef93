//! Checks `site.yaml` and `resource_specs.yaml`, told apart by what they say.

mod site;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bf_core::report::{Failure, Finding, Report, Severity};
use bf_core::spec::parse::{Node, ReadError, Reader, Value, read_stream, read_text};
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
        Kind::Site => site::findings(&text, path)?,
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
const SITE_ONLY: [&str; 12] = [
    "schema",
    "cache_dir",
    "engines",
    "images",
    "registries",
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
        let all =
            "schema: 1\ncache_dir: c\ngroup: no-such-group\nengines: {vllmm: }\nimages: {nobody: }\nnew: 1\n";
        let all = found(all).into_iter().map(|(code, ..)| code).collect::<Vec<_>>();
        assert_eq!(all, ["group_not_found", "engine_not_found", "image_without_ref", "unknown_key"]);
        fs_err::create_dir_all(dir.path().join("c/templates/services")).unwrap();
        fs_err::write(dir.path().join("c/templates/services/x.yaml"), "id: [").unwrap();
        let broken = found("schema: 1\ncache_dir: c\ngroup: no-such-group\n");
        let codes: Vec<_> = broken.iter().map(|(code, ..)| *code).collect();
        assert_eq!(codes, ["cache_not_empty", "group_not_found", "engine_invalid"]);
        fs_err::remove_dir_all(dir.path().join("c")).unwrap();
        let pipe = dir.path().join("pipe.yaml");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
        for no_file in [pipe, dir.path().to_owned()] {
            assert_eq!(files(&[no_file]).unwrap_err().exit, Exit::Invalid);
        }
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
