//! A site.yaml, and whether this machine and this version can provide what it declares.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bf_core::model::ModelId;
use bf_core::report::{Failure, Finding};
use bf_core::service::{self, Engine};
use bf_core::shape::View;
use bf_core::site::{Access, Declared, Layout};
use bf_core::spec::parse::{Entry, Node, Reader, Value};

use crate::{image, session};

/// What the file says, and whether this machine and this version can provide it.
pub(super) fn findings(text: &str, path: &Path) -> Result<Vec<Finding>, Failure> {
    let (declared, findings) = Declared::draft(text, &std::path::absolute(path)?);
    let Some(declared) = declared else { return Ok(findings) };
    let root = Reader::new().document(text);
    let layout = Layout::new(&declared.cache_dir);
    let has_cache = declared.cache_dir.is_absolute();
    let faulty = findings.clone();
    let mut findings = Vec::new();
    findings.extend(at(root.as_ref(), "group").map_or(Ok(None), |entry| group(entry, &declared))?);
    if has_cache {
        findings.extend(at(root.as_ref(), "cache_dir").and_then(|entry| cache_dir(entry, layout.root())));
    }
    let engines = match service::engines(has_cache.then_some(&layout)) {
        Ok(engines) => engines,
        Err(failure) => {
            // Of the site's own definitions nothing is known then, and all else is still looked at.
            let finding = Finding::error(failure.code, failure.message);
            findings.push(Finding { hint: failure.hint, ..finding });
            service::engines(None)?
        }
    };
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
    findings.extend(readers(root.as_ref(), &layout)?);
    // What has a fault already says nothing more by having another one for it.
    let is_new = |finding: &Finding| {
        finding.line.is_none()
            || !faulty.iter().any(|first| (first.line, first.column) == (finding.line, finding.column))
    };
    findings.retain(is_new);
    findings.extend(faulty);
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
    for node in nodes {
        let view = View::of(node);
        let repo = view.parsed::<ModelId>("repo");
        let Some(model) = declared.models.iter().find(|model| Some(&model.repo) == repo.as_ref()) else {
            continue;
        };
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
            _ => {}
        }
    }
    findings
}

/// Images that no engine is called like, and those that would have the file of another one.
fn images(root: Option<&Node>, engines: &[Engine], declared: &Declared) -> Vec<Finding> {
    let mut files: BTreeMap<String, &Entry> = BTreeMap::new();
    let mut findings = Vec::new();
    for entry in entries(root, "images") {
        if !matches!(entry.value.value, Value::Map(_) | Value::Null) {
            continue; // which is said
        }
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
    let Some(gid) = session::group(name)? else { return Ok(Some(unknown())) };
    let layout = Layout::new(&declared.cache_dir);
    if !session::is_own(&layout) || session::is_in(gid.as_raw())? {
        return Ok(None);
    }
    let (message, hint) = session::not_in(name);
    Ok(Some(entry.value.at.warning("not_in_group", message).with_hint(hint)))
}

/// Models for groups that this machine does not have, or that the cache's owner, who runs this, is not in.
fn readers(root: Option<&Node>, layout: &Layout) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let is_own = session::is_own(layout);
    for view in root.into_iter().flat_map(|root| View::of(root).list("models")).map(View::of) {
        let Some(Access::Group(name)) = view.parsed::<Access>("access") else { continue };
        let Some(gid) = session::group(&name)? else {
            let message = format!("there is no group {name} on this machine");
            findings.push(view.at("access").error("group_not_found", message).with_hint(session::GROUP_HINT));
            continue;
        };
        if is_own && !session::is_in(gid.as_raw())? {
            let (message, hint) = session::not_in(&name);
            findings.push(view.at("access").warning("not_in_group", message).with_hint(hint));
        }
    }
    Ok(findings)
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
