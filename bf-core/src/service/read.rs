//! Reads an engine's definition from its YAML.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Engine, EngineError, GpuNeed, Image, Kind, Listen, Native, Ready};
use crate::image::{Digest, ImageError, Reference};
use crate::report::Explain;
use crate::spec::parse::{self, MapReader, Node, Reader, Value};
use crate::template::Source;

/// Reads one definition.
pub(super) fn engine(source: &Source) -> Result<Engine, EngineError> {
    let path = source.path.clone().unwrap_or_else(|| PathBuf::from(&source.name));
    let invalid = |findings: Vec<_>| EngineError::Invalid {
        name: path.display().to_string(),
        first: parse::summary(&findings),
    };
    match parse::parse(&source.text, &path, read) {
        Ok((engine, warnings)) if warnings.is_empty() => Ok(engine),
        Ok((_, findings)) | Err(findings) => Err(invalid(findings)),
    }
}

fn read(reader: &Reader, root: &Node) -> Option<Engine> {
    let mut map = reader.map(root, "the engine")?;
    let id = map.required_string("id");
    if id.as_ref().is_some_and(|id| !is_plain(id)) {
        let message = "`id` may hold letters, digits, `.`, `_`, `-` and `+` only";
        reader.note(map.at_value("id").error("invalid_name", message)); // it is the name of a folder
    }
    let kind = map
        .required("kind")
        .and_then(|_| choice(&mut map, "kind", &["text_generation", "speech_recognition"]));
    let formats = map.optional_strings("formats");
    let gpu = map.required("gpu").and_then(|_| choice(&mut map, "gpu", &["none", "optional", "required"]));
    let listen = map.required("listen").and_then(|_| choice(&mut map, "listen", &["unix", "tcp"]));
    let image_given = map.optional("image").is_some();
    let image = map.optional_map("image").and_then(|map| image(reader, map));
    let native_given = map.optional("native").is_some();
    let native = map.optional_map("native").and_then(|map| native(reader, map));
    let command = map.optional_strings("command");
    if command.is_empty() {
        reader.note(map.at_value("command").error("no_command", "the engine has no `command`"));
    }
    let env = texts(reader, &mut map, "env");
    let secret_env = texts(reader, &mut map, "secret_env");
    let binds = map.optional_strings("binds");
    let assets = map.optional_strings("assets");
    let health = map.required_string("health");
    absolute(reader, &map, "health", health.as_deref());
    let ready_at = map.required("ready");
    let ready = ready_at.and_then(|entry| reader.map_of(entry, "`ready`")).and_then(|mut map| {
        let (path, body) = (map.required_string("path"), map.required_text("body"));
        absolute(reader, &map, "path", path.as_deref());
        map.finish();
        Some(Ready { path: path?, body: body? })
    });
    let routes = routes(reader, &mut map);
    let metrics = map.optional_map("metrics").and_then(|mut map| {
        let path = map.required_string("path");
        absolute(reader, &map, "path", path.as_deref());
        map.optional_strings("requests");
        map.finish();
        path
    });
    map.finish();
    if image_given != image.is_some() || native_given != native.is_some() {
        return None;
    }
    Some(Engine {
        id: id?,
        kind: if kind? == 0 { Kind::TextGeneration } else { Kind::SpeechRecognition },
        formats,
        gpu: [GpuNeed::None, GpuNeed::Optional, GpuNeed::Required][gpu?],
        image,
        native,
        listen: [Listen::Unix, Listen::Tcp][listen?],
        command,
        env,
        secret_env,
        binds,
        assets,
        health: health?,
        ready: ready?,
        routes,
        metrics,
    })
}

/// Notes a path of the engine's that a request cannot have.
fn absolute(reader: &Reader, map: &MapReader<'_, '_>, key: &'static str, path: Option<&str>) {
    if path.is_some_and(|path| !is_path(path)) {
        let message = format!("`{key}` must be a path that begins with `/`");
        reader.note(map.at_value(key).error("invalid_path", message));
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// What is let through: one that is not written as a request would let nothing through, in silence.
fn routes(reader: &Reader, map: &mut MapReader<'_, '_>) -> Vec<String> {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let routes = map.optional_strings("routes");
    let is_route = |route: &str| matches!(route.split_once(' '), Some((method, path)) if METHODS.contains(&method) && is_path(path));
    for route in routes.iter().filter(|route| !is_route(route)) {
        let message = format!("the route `{route}` is not a method and a path");
        let hint = "write it as `POST /v1/completions`, the method in capitals";
        reader.note(map.at_value("routes").error("invalid_route", message).with_hint(hint));
    }
    routes
}

/// Whether it can be a part of a path and of a requirement.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
    !name.starts_with(['.', '-']) && name.bytes().all(plain)
}

fn choice(map: &mut MapReader<'_, '_>, key: &'static str, of: &[&str]) -> Option<usize> {
    map.optional_choice(key, of)
}

fn image(reader: &Reader, mut map: MapReader<'_, '_>) -> Option<Image> {
    let reference = map.required_string("ref");
    let digest = map.optional_string("digest");
    let gpu_reference = map.optional_string("gpu_ref");
    let path = map.optional_strings("path");
    for folder in path.iter().filter(|folder| !is_path(folder) || folder.contains(':')) {
        let message =
            format!("`{folder}` is no folder that PATH can have: it must begin with `/`, without `:`");
        reader.note(map.at_value("path").error("invalid_path", message));
    }
    let reference = parsed::<Reference>(reader, &map, "ref", reference);
    let digest = parsed::<Digest>(reader, &map, "digest", digest);
    let gpu_reference = parsed::<Reference>(reader, &map, "gpu_ref", gpu_reference);
    map.finish();
    let reference = match digest {
        Some(digest) => reference?.pinned(digest),
        None => reference?,
    };
    Some(Image { reference, gpu_reference, path })
}

/// A text as what it stands for; what it cannot stand for is noted.
fn parsed<T: std::str::FromStr<Err = ImageError>>(
    reader: &Reader,
    map: &MapReader<'_, '_>,
    key: &str,
    text: Option<String>,
) -> Option<T> {
    match text?.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            reader.note(map.at_value(key).error(error.code(), error.to_string()));
            None
        }
    }
}

fn native(reader: &Reader, mut map: MapReader<'_, '_>) -> Option<Native> {
    let package = map.required_string("package");
    let version = map.required_string("version");
    // One hash, or a list with one for each platform.
    let sha256 = match map.required("sha256").map(|entry| &entry.value) {
        Some(node @ Node { value: Value::List(_), .. }) => {
            let items = reader.list(node, "`sha256`").unwrap_or_default();
            items.iter().filter_map(|item| reader.string(item, "each item of `sha256`")).collect()
        }
        Some(node) => reader.string(node, "`sha256`").into_iter().collect::<Vec<_>>(),
        None => Vec::new(),
    };
    for hash in &sha256 {
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!("`{hash}` is not a SHA-256 of 64 hex digits");
            reader.note(map.at_value("sha256").error("invalid_hash", message));
        }
    }
    for (key, value) in [("package", &package), ("version", &version)] {
        if value.as_ref().is_some_and(|value| !is_plain(value)) {
            let message = format!("`{key}` may hold letters, digits, `.`, `_`, `-` and `+` only");
            reader.note(map.at_value(key).error("invalid_name", message));
        }
    }
    map.finish();
    Some(Native { package: package?, version: version?, sha256 })
}

fn texts(reader: &Reader, map: &mut MapReader<'_, '_>, key: &'static str) -> BTreeMap<String, String> {
    let value = |node: &Node, name: &str| match &node.value {
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => Some(node.value.describe()),
        _ => reader.text(node, &format!("`{name}`")),
    };
    map.optional_entries(key)
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), value(&entry.value, &entry.key)?)))
        .collect()
}
