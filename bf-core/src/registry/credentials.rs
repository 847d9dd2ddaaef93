//! Names, passwords and tokens: where clients of registries keep them.
//!
//! The order: `APPTAINER_DOCKER_USERNAME` and `..._PASSWORD` (also `SINGULARITY_...`), the file of `REGISTRY_AUTH_FILE`, Docker's
//! `config.json`, Podman's `auth.json` in `$XDG_RUNTIME_DIR/containers`, Apptainer's `docker-config.json`. The first that knows the
//! registry is used. All files have the form of Docker's (`auths`, `credHelpers`, `credsStore`).

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{RegistryError, Secret, base64, helper};
use crate::settings::Environment;

/// What opens a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token for the token service, which gives tokens for the registry.
    Identity {
        /// It.
        token: Secret,
    },
    /// A token for the registry itself.
    Bearer {
        /// It.
        token: Secret,
    },
}

impl Credentials {
    pub(super) fn secret(&self) -> &Secret {
        match self {
            Self::Basic { password, .. } => password,
            Self::Identity { token } | Self::Bearer { token } => token,
        }
    }
}

/// How Docker calls its registry.
const DOCKER: &str = "https://index.docker.io/v1/";
/// Bytes that such a file may have.
const MAX_FILE: u64 = 1024 * 1024;

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// What the environment says, which is meant for the registry that is asked and never for mirrors.
pub(super) fn from_environment(environment: &Environment) -> Option<Credentials> {
    ["APPTAINER", "SINGULARITY"].into_iter().find_map(|program| {
        let user = environment.get(&format!("{program}_DOCKER_USERNAME"))?;
        let password = environment.get(&format!("{program}_DOCKER_PASSWORD"))?;
        Some(Credentials::Basic { user: user.to_owned(), password: Secret::new(password) })
    })
}

/// What the files say of `repository` at `host`.
pub(super) fn from_files(
    host: &str,
    repository: &str,
    environment: &Environment,
) -> Result<Option<Credentials>, RegistryError> {
    for (path, is_named) in files(environment) {
        let Some(file) = read(&path, is_named)? else { continue };
        if let Some(found) = look_up(&file, &path, host, repository, environment)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The files, and whether somebody said that they are there.
fn files(environment: &Environment) -> Vec<(PathBuf, bool)> {
    let home = environment.get("HOME").map(PathBuf::from);
    let mut files = Vec::new();
    files.extend(environment.get("REGISTRY_AUTH_FILE").map(|path| (PathBuf::from(path), true)));
    let docker = environment.get("DOCKER_CONFIG").map(PathBuf::from);
    let docker = docker.or_else(|| home.as_ref().map(|home| home.join(".docker")));
    files.extend(docker.map(|folder| (folder.join("config.json"), false)));
    let runtime = environment.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    files.extend(runtime.map(|folder| (folder.join("containers/auth.json"), false)));
    files.extend(home.map(|home| (home.join(".apptainer/docker-config.json"), false)));
    files
}

fn read(path: &Path, is_named: bool) -> Result<Option<File>, RegistryError> {
    let wrong = |reason: String| RegistryError::CredentialFile { path: path.to_owned(), reason };
    let absent =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    match fs_err::metadata(path) {
        Err(error) if absent(&error) && !is_named => return Ok(None),
        Err(error) => return Err(error.into()),
        Ok(metadata) if !metadata.is_file() => return Err(wrong("it is no file".into())),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    fs_err::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(wrong(format!("it has more than {MAX_FILE} bytes")));
    }
    // Only the place: a message about a value could quote it.
    let place =
        |error: serde_json::Error| format!("line {}, column {} is wrong", error.line(), error.column());
    serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(place(error)))
}

fn look_up(
    file: &File,
    path: &Path,
    host: &str,
    repository: &str,
    environment: &Environment,
) -> Result<Option<Credentials>, RegistryError> {
    let server = if host == "docker.io" { DOCKER } else { host };
    let helpers = file.helpers.iter().flatten();
    for (key, name) in helpers {
        if normal(key) == host {
            return helper::ask(name, server, environment);
        }
    }
    // The longest name that the repository is below of: Podman knows logins to a part of a registry.
    let full = format!("{host}/{repository}");
    let mut best: Option<(usize, &Entry)> = None;
    for (key, entry) in file.auths.iter().flatten() {
        let key = normal(key);
        let below = full.strip_prefix(&key).is_some_and(|rest| rest.starts_with('/'));
        if below && best.is_none_or(|(length, _)| key.len() > length) {
            best = Some((key.len(), entry));
        }
    }
    if let Some((_, entry)) = best
        && let Some(found) = open(entry).map_err(|reason| RegistryError::CredentialFile {
            path: path.to_owned(),
            reason: format!("the entry of {host} {reason}"),
        })?
    {
        return Ok(Some(found));
    }
    match &file.store {
        Some(name) if !name.is_empty() => helper::ask(name, server, environment),
        _ => Ok(None),
    }
}

/// A key as a host, or a host and a path: `https://index.docker.io/v1/` is `docker.io`.
fn normal(key: &str) -> String {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    let (host, rest) = key.split_once('/').map_or((key, None), |(host, rest)| (host, Some(rest)));
    let host = match host.to_ascii_lowercase().as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    };
    rest.map_or(host.clone(), |rest| format!("{host}/{rest}"))
}

/// What an entry holds; nothing if it is empty, as Docker leaves it where a helper has the password.
fn open(entry: &Entry) -> Result<Option<Credentials>, &'static str> {
    let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    if let Some(token) = text(&entry.registrytoken) {
        return Ok(Some(Credentials::Bearer { token: Secret::new(token) }));
    }
    if let Some(token) = text(&entry.identitytoken) {
        return Ok(Some(Credentials::Identity { token: Secret::new(token) }));
    }
    if let Some(auth) = text(&entry.auth) {
        let plain =
            base64::decode(&auth).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or("is no base64")?;
        let (user, password) = plain.split_once(':').ok_or("is no name and password")?;
        // Docker pads with zero bytes.
        let password = Secret::new(password.trim_end_matches('\0'));
        return Ok(Some(Credentials::Basic { user: user.to_owned(), password }));
    }
    match (text(&entry.username), text(&entry.password)) {
        (Some(user), Some(password)) => {
            Ok(Some(Credentials::Basic { user, password: Secret::new(password) }))
        }
        _ => Ok(None),
    }
}
