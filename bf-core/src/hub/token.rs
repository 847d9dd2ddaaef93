//! Who we are to the Hub: where its clients keep their token.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::HubError;
use super::options::is_true;
use crate::bounded::{self, Links};
use crate::settings::Environment;
use crate::web::Secret;

/// Bytes that a file with a token may have.
const MAX_FILE: u64 = 64 * 1024;

/// The token that the environment or the file of `hf auth login` has.
pub(super) fn find(environment: &Environment) -> Result<Option<Secret>, HubError> {
    if environment.get("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(is_true) {
        return Ok(None);
    }
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        if let Some(token) = environment.get(name).map(str::trim).filter(|token| !token.is_empty()) {
            return checked(token, name).map(Some);
        }
    }
    let Some(path) = file(environment) else { return Ok(None) };
    match bounded::text(&path, MAX_FILE, Links::Follow) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => checked(text.trim(), &path.display().to_string()).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn checked(token: &str, place: &str) -> Result<Secret, HubError> {
    if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Secret::new(token));
    }
    Err(HubError::Token { place: place.to_owned() })
}

fn file(environment: &Environment) -> Option<PathBuf> {
    let home = environment.get("HOME").map(Path::new);
    let expanded = |text: &str| match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    };
    if let Some(path) = environment.get("HF_TOKEN_PATH") {
        return Some(expanded(path));
    }
    let hub = match (environment.get("HF_HOME"), environment.get("XDG_CACHE_HOME")) {
        (Some(folder), _) => expanded(folder),
        (None, Some(cache)) => expanded(cache).join("huggingface"),
        (None, None) => home?.join(".cache/huggingface"),
    };
    Some(hub.join("token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_looked_for_in_the_order_of_the_hubs_clients() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        for (file, token) in [
            ("named", "named"),
            ("hub/token", "hub\n"),
            ("x/huggingface/token", "xdg"),
            (".cache/huggingface/token", "home"),
        ] {
            let path = folder.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, token).unwrap();
        }
        let (hub, xdg) = (format!("{home}/hub"), format!("{home}/x"));
        let mut values = vec![
            ("HF_TOKEN", "first\n"),
            ("HUGGING_FACE_HUB_TOKEN", "second"),
            ("HF_TOKEN_PATH", "~/named"),
            ("HF_HOME", &hub),
            ("XDG_CACHE_HOME", &xdg),
            ("HOME", home),
        ];
        let look = |values: &[(&str, &str)]| {
            let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            find(&Environment::of(values)).unwrap().map(|token| token.expose().to_owned())
        };
        for expected in ["first", "second", "named", "hub", "xdg", "home"] {
            assert_eq!(look(&values).as_deref(), Some(expected));
            values.insert(0, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"));
            assert_eq!(look(&values), None);
            values.drain(..2);
        }
        assert_eq!(look(&[]), None);
        assert_eq!(look(&[("HOME", "/nonexistent")]), None);
    }

    #[test]
    fn what_can_be_no_token_is_named_and_not_shown() {
        let environment = Environment::of([("HF_TOKEN".to_owned(), "hid den".to_owned())]);
        let error = find(&environment).unwrap_err();
        assert!(error.to_string().contains("HF_TOKEN") && !error.to_string().contains("hid"), "{error}");
    }
}
