//! Whether what site.lock names can only be what bf-admin puts into a cache: `setup` and `permissions fix` follow its paths, and may
//! be run by root.

use std::path::{Component, Path};

use super::{Locked, LockedFile, RevisionOf};
use crate::model::{ModelId, Revision};

/// Why the lock is not followed: the place in it, and what is wrong there.
pub(super) fn check(locked: &Locked) -> Result<(), String> {
    if let Some(toolkit) = &locked.toolkit {
        let place = "toolkit";
        name(place, "version", &toolkit.version)?;
        digest(place, "sha256", &toolkit.sha256)?;
        files(place, &toolkit.files)?;
    }
    for (key, image) in &locked.images {
        let place = &format!("images.{}", shown(key));
        name(place, "name", key)?;
        digest(place, "sha256", &image.sha256)?;
        let file = image.sif.strip_prefix("images/").filter(|file| is_name(file, ""));
        if file.and_then(|file| file.strip_suffix(".sif")).is_none() {
            return Err(format!("{place}: the `sif` `{}` is not `images/NAME.sif`", shown(&image.sif)));
        }
        if !is_name(&image.compression, ":") {
            let what = shown(&image.compression);
            return Err(format!("{place}: the `compression` `{what}` is not the name of one"));
        }
    }
    for (key, engine) in &locked.engines {
        let place = &format!("engines.{}", shown(key));
        name(place, "name", key)?;
        name(place, "version", &engine.version)?;
        for sha256 in &engine.sha256 {
            digest(place, "sha256", sha256)?;
        }
        if !is_absolute(&engine.python) {
            let what = shown(&engine.python);
            return Err(format!("{place}: the `python` `{what}` is not an absolute path"));
        }
        files(place, &engine.files)?;
    }
    for (key, model) in &locked.models {
        let place = &format!("models.{}", shown(key));
        if ModelId::parse_stored(key).is_err() {
            return Err(format!("{place}: this is not the id of a model"));
        }
        for own in model.all() {
            revision(place, &own)?;
        }
        if model.revisions.contains_key("main") {
            return Err(format!("{place}: `main` is no further revision"));
        }
    }
    Ok(())
}

fn revision(place: &str, own: &RevisionOf<'_>) -> Result<(), String> {
    if let Some(name) = own.name.filter(|name| Revision::parse(name).is_err()) {
        return Err(format!("{place}: the revision `{}` is not the name of one", shown(name)));
    }
    if !is_hex(own.commit, 40) {
        return Err(format!("{place}: the `commit` `{}` is not 40 hex digits", shown(own.commit)));
    }
    files(place, own.files)
}

fn files(place: &str, files: &[LockedFile]) -> Result<(), String> {
    for file in files {
        let path = shown(&file.path);
        if !is_below(&file.path) {
            return Err(format!("{place}: the path `{path}` does not lead to a file below its folder"));
        }
        if !is_hex(&file.sha256, 64) {
            return Err(format!("{place}: the `sha256` of `{path}` is not 64 hex digits"));
        }
        // It is one of the two names that a content has, and a part of a path.
        if file.blob.as_ref().is_some_and(|blob| !is_hex(blob, 40) && *blob != file.sha256) {
            return Err(format!("{place}: the `blob` of `{path}` is neither 40 hex digits nor its `sha256`"));
        }
    }
    Ok(())
}

fn name(place: &str, what: &str, text: &str) -> Result<(), String> {
    if is_name(text, "+") {
        return Ok(());
    }
    Err(format!("{place}: the {what} `{}` holds what has no place in one", shown(text)))
}

fn digest(place: &str, what: &str, text: &str) -> Result<(), String> {
    if is_hex(text, 64) {
        return Ok(());
    }
    Err(format!("{place}: the `{what}` `{}` is not 64 hex digits", shown(text)))
}

/// One part of a path that is not hidden: letters, digits, `.`, `_`, `-` and `more`, and a letter or digit at first.
fn is_name(text: &str, more: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte) || more.as_bytes().contains(&byte);
    text.len() <= 255
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(plain)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A path that is written as its parts are: no `..`, no `.`, no `//`, nothing a file name cannot hold.
fn is_below(text: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && part.len() <= 255;
    text.len() <= 4096 && !text.contains('\0') && text.split('/').all(plain)
}

fn is_absolute(text: &str) -> bool {
    let normal = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    text.len() <= 4096
        && !text.chars().any(char::is_control)
        && Path::new(text).is_absolute()
        && Path::new(text).components().all(normal)
}

/// A value in a message: its beginning, without what a terminal would obey.
fn shown(text: &str) -> String {
    text.escape_debug().take(80).collect()
}
