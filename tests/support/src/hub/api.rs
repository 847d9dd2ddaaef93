//! What there is: `/api/models/...` as JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::repo::{Access, Entry, RefKind, Stored};
use super::rights::refused;
use super::sha1::sha1;
use super::wire::{Ask, Reply, encoded};

/// What is told about every moment.
const THEN: &str = "2026-01-01T00:00:00.000Z";
/// A header of safetensors that is longer is none.
const HEADER: u64 = 25 << 20;

/// The answer to what follows the id: `revision`, `tree` and so on, decoded.
pub(super) fn answer(ask: &Ask, repo: &Stored, rest: &[String], origin: &str, page: usize) -> Reply {
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    let revision = words.get(1).copied().unwrap_or("main");
    if words.first() == Some(&"refs") {
        return refs(repo);
    }
    let Some((commit, files)) = repo.resolve(revision) else {
        return refused(404, "RevisionNotFound", &format!("Invalid rev id: {}", encoded(revision)));
    };
    match words.as_slice() {
        [] | ["revision", _] => Reply::json(200, &info(repo, commit, files, ask.flag("blobs"))),
        ["tree", _, folder @ ..] => tree(ask, files, &folder.join("/"), origin, page),
        ["paths-info", _] => paths_info(ask, files),
        ["commits", _] => Reply::json(
            200,
            &json!([{"id": commit, "title": "initial", "message": "", "date": THEN, "authors": []}]),
        ),
        _ => refused(404, "", "Sorry, we can't find the page you are looking for."),
    }
}

fn info(repo: &Stored, commit: &str, files: &[Entry], blobs: bool) -> Value {
    let sibling = |entry: &Entry| {
        let mut one = json!({"rfilename": entry.path});
        if blobs {
            one["size"] = entry.size();
            one["blobId"] = entry.oid().into();
            if entry.big {
                let pointer = entry.pointer().len();
                one["lfs"] = json!({"sha256": entry.etag(), "size": entry.size(), "pointerSize": pointer});
            }
        }
        one
    };
    let card = |name: &str| repo.card.get(name).cloned().unwrap_or_default();
    let config = files.iter().find(|entry| entry.path == "config.json" && !entry.big);
    let config = config.and_then(|entry| serde_json::from_slice::<Value>(&entry.content.to_vec()).ok());
    let mut told = json!({
        "_id": &commit[..24],
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.id.split('/').next(),
        "sha": commit,
        "private": repo.access == Access::Private,
        "gated": if repo.access == Access::Gated { json!("manual") } else { json!(false) },
        "disabled": repo.access == Access::Disabled,
        "downloads": 0,
        "likes": 0,
        "tags": ["region:us"],
        "createdAt": THEN,
        "lastModified": THEN,
        "pipeline_tag": card("pipeline_tag"),
        "library_name": card("library_name"),
        "usedStorage": files.iter().map(|entry| entry.content.length()).sum::<u64>(),
        "siblings": files.iter().map(sibling).collect::<Vec<_>>(),
    });
    if !repo.card.is_null() {
        told["cardData"] = repo.card.clone();
    }
    if let Some(config) = config {
        told["config"] =
            json!({"architectures": config["architectures"], "model_type": config["model_type"]});
    }
    if let Some(parameters) = parameters(files) {
        let total: u64 = parameters.values().filter_map(Value::as_u64).sum();
        told["safetensors"] = json!({"parameters": parameters, "total": total});
    }
    told
}

/// Parameters of each kind in the files at the top.
fn parameters(files: &[Entry]) -> Option<Map<String, Value>> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for entry in
        files.iter().filter(|entry| entry.path.ends_with(".safetensors") && !entry.path.contains('/'))
    {
        let mut length = [0; 8];
        entry.content.read_at(0, &mut length).ok().filter(|()| entry.content.length() >= 8)?;
        let length = u64::from_le_bytes(length);
        if length > HEADER.min(entry.content.length() - 8) {
            return None;
        }
        let mut header = vec![0; usize::try_from(length).ok()?];
        entry.content.read_at(8, &mut header).ok()?;
        let header: Map<String, Value> = serde_json::from_slice(&header).ok()?;
        for tensor in header.values() {
            let (Some(kind), Some(shape)) = (tensor["dtype"].as_str(), tensor["shape"].as_array()) else {
                continue;
            };
            *all.entry(kind.into()).or_default() += shape.iter().filter_map(Value::as_u64).product::<u64>();
        }
    }
    (!all.is_empty()).then(|| all.into_iter().map(|(kind, count)| (kind, json!(count))).collect())
}

fn file(entry: &Entry) -> Value {
    let mut one = json!({"type": "file", "oid": entry.oid(), "size": entry.size(), "path": entry.path});
    if entry.big {
        let pointer = entry.pointer().len();
        one["lfs"] = json!({"oid": entry.etag(), "size": entry.size(), "pointerSize": pointer});
    }
    one
}

fn folder(path: &str) -> Value {
    json!({"type": "directory", "oid": sha1(path.as_bytes()), "size": 0, "path": path})
}

/// All that is below a folder, or right in it.
fn below(files: &[Entry], top: &str, recursive: bool) -> Vec<Value> {
    let prefix = if top.is_empty() { String::new() } else { format!("{top}/") };
    let (mut folders, mut found) = (BTreeMap::new(), Vec::new());
    for entry in files {
        let Some(rest) = entry.path.strip_prefix(&prefix) else { continue };
        for (at, _) in rest.match_indices('/') {
            if recursive || !rest[..at].contains('/') {
                let path = format!("{prefix}{}", &rest[..at]);
                folders.entry(path.clone()).or_insert_with(|| folder(&path));
            }
        }
        if recursive || !rest.contains('/') {
            found.push(file(entry));
        }
    }
    folders.into_values().chain(found).collect()
}

fn tree(ask: &Ask, files: &[Entry], top: &str, origin: &str, page: usize) -> Reply {
    let mut all = below(files, top, ask.flag("recursive"));
    if all.is_empty() && !top.is_empty() {
        return refused(404, "EntryNotFound", &format!("{top} does not exist"));
    }
    if ask.flag("expand") {
        for one in &mut all {
            one["lastCommit"] = json!({"id": sha1(b"commit"), "title": "initial", "date": THEN});
        }
    }
    let begin = ask.query("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(0_usize).min(all.len());
    let limit = ask.query("limit").and_then(|limit| limit.parse().ok()).unwrap_or(page).clamp(1, page);
    let end = (begin + limit).min(all.len());
    let reply = Reply::json(200, &json!(all[begin..end]));
    if end == all.len() {
        return reply;
    }
    let kept = |name: &str| ask.query(name).map(|value| format!("{name}={}&", encoded(&value)));
    let query: String = ["recursive", "expand", "limit"].into_iter().filter_map(kept).collect();
    reply.header("Link", &format!("<{origin}{}?{query}cursor={end}>; rel=\"next\"", ask.path()))
}

/// Of the paths that are asked for, those that are there.
fn paths_info(ask: &Ask, files: &[Entry]) -> Reply {
    let asked: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
    let Some(paths) = asked["paths"].as_array() else {
        return refused(400, "", "\"paths\" is required");
    };
    let all = below(files, "", true);
    let found = paths.iter().filter_map(|path| all.iter().find(|one| one["path"] == *path));
    Reply::json(200, &json!(found.collect::<Vec<_>>()))
}

fn refs(repo: &Stored) -> Reply {
    let of = |kind: RefKind, prefix: &str| -> Vec<Value> {
        let named = repo.refs.iter().filter(|(_, (own, _))| *own == kind);
        named
            .map(|(name, (_, sha))| json!({"name": name, "ref": format!("{prefix}{name}"), "targetCommit": sha}))
            .collect()
    };
    let told = json!({
        "tags": of(RefKind::Tag, "refs/tags/"),
        "branches": of(RefKind::Branch, "refs/heads/"),
        "pullRequests": of(RefKind::PullRequest, ""),
        "converts": [],
    });
    Reply::json(200, &told)
}
