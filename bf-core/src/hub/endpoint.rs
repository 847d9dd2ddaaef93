//! Where the Hub is: its own address, or that of a mirror.

use std::fmt;

use reqwest::Url;

use super::HubError;
use crate::model::{ModelId, Revision};

/// The address of a Hub, such as `https://huggingface.co`. A path in it goes in front of everything that is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

/// Where the Hub is if nobody says otherwise.
const USUAL: &str = "https://huggingface.co";

impl Endpoint {
    /// Reads an address. One with `http://` says that plain HTTP is allowed.
    ///
    /// # Errors
    /// [`HubError::Endpoint`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        // What stands before an `@` may be a password.
        let shown = text.rsplit_once('@').map_or(text, |(_, behind)| behind);
        let wrong = |reason| HubError::Endpoint { text: shown.chars().take(100).collect(), reason };
        let url = Url::parse(text.trim().trim_end_matches('/')).map_err(|_| wrong("it is no web address"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("it must begin with `https://`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("a token belongs into HF_TOKEN, not into the address"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("a `?` or `#` has no meaning in it"));
        }
        Ok(Self { url })
    }

    /// The Hub itself.
    pub(super) fn usual() -> Result<Self, HubError> {
        Self::parse(USUAL)
    }

    /// How messages call it: `huggingface.co`.
    pub fn host(&self) -> String {
        let name = self.url.host_str().unwrap_or("nowhere");
        self.url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
    }

    /// Whether it is talked to without encryption.
    pub(super) fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Whether an address is at the same scheme, host and port.
    pub(super) fn is_at(&self, url: &Url) -> bool {
        self.url.origin() == url.origin()
    }

    /// The page that a person opens to see a model.
    pub fn page(&self, id: &ModelId) -> String {
        self.with(&id.to_string().split('/').collect::<Vec<_>>()).to_string()
    }

    /// What the Hub says of a model at a revision.
    pub(super) fn info(&self, id: &ModelId, revision: &Revision) -> Url {
        let mut url = self.api(id, "revision", revision.as_str());
        url.set_query(Some("blobs=true"));
        url
    }

    /// The files of a model, page by page.
    pub(super) fn tree(&self, id: &ModelId, commit: &str) -> Url {
        let mut url = self.api(id, "tree", commit);
        url.set_query(Some("recursive=true"));
        url
    }

    /// A file of a model at a commit.
    pub(super) fn file(&self, id: &ModelId, commit: &str, path: &str) -> Url {
        let id = id.to_string();
        let parts = id.split('/').chain(["resolve", commit]).chain(path.split('/'));
        self.with(&parts.collect::<Vec<_>>())
    }

    /// A revision may have slashes: it is one part of the address.
    fn api(&self, id: &ModelId, verb: &str, revision: &str) -> Url {
        let id = id.to_string();
        let parts = ["api", "models"].into_iter().chain(id.split('/')).chain([verb, revision]);
        self.with(&parts.collect::<Vec<_>>())
    }

    fn with(&self, parts: &[&str]) -> Url {
        let mut url = self.url.clone();
        // Addresses of the web always have parts.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_made_of_encoded_parts() {
        let hub = Endpoint::parse("https://mirror.example:8443/hf/").unwrap();
        let id: ModelId = "org/name".parse().unwrap();
        let revision: Revision = "refs/pr/1".parse().unwrap();
        let text = |url: Url| url.to_string();
        let base = "https://mirror.example:8443/hf";
        assert_eq!(
            text(hub.info(&id, &revision)),
            format!("{base}/api/models/org/name/revision/refs%2Fpr%2F1?blobs=true")
        );
        assert_eq!(
            text(hub.file(&id, "abc", "a b/c%?#.bin")),
            format!("{base}/org/name/resolve/abc/a%20b/c%25%3F%23.bin")
        );
        assert_eq!((hub.host(), hub.page(&id)), ("mirror.example:8443".into(), format!("{base}/org/name")));
        assert_eq!(hub.to_string(), base);
    }

    #[test]
    fn what_is_no_address_of_a_hub_is_refused_without_its_password() {
        for text in ["", "huggingface.co", "ftp://x", "https://me:hidden@x", "https://x/?a", "file:///x"] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
    }
}
