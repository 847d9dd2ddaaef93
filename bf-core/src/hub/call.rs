//! A request to the Hub, and what its refusals mean.

use reqwest::header::{ACCEPT_ENCODING, HeaderName, HeaderValue, RANGE};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::error::Fault;
use super::{Hub, HubError, Listing, RemoteFile};
use crate::model::{ModelId, Revision};
use crate::web::{Answer, Call};

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// What the Hub says of a model.
    Model(&'a ModelId, &'a Revision),
    /// A file of it.
    File(&'a Listing, &'a RemoteFile),
}

/// Above this the Hub's own clients do not ask by plain HTTP, in bytes.
const XET_ONLY: u64 = 50_000_000_000;

impl Wanted<'_> {
    fn id(self) -> String {
        match self {
            Self::Model(id, _) => id.to_string(),
            Self::File(listing, _) => listing.id.to_string(),
        }
    }

    /// How messages call it.
    pub(super) fn what(self) -> String {
        match self {
            Self::Model(id, revision) => format!("{id} at {revision}"),
            Self::File(listing, file) => format!("{} of {}", file.path, listing.id),
        }
    }

    /// Whether a web page can be what is wanted.
    fn is_page(self) -> bool {
        match self {
            Self::Model(..) => false,
            Self::File(_, file) => {
                let end = file.path.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
                matches!(end.as_str(), "html" | "htm" | "xhtml")
            }
        }
    }
}

impl Hub {
    /// Asks once. The answer is a success, or `416`, and no page in place of something else.
    pub(super) fn ask(
        &self,
        url: &Url,
        range: Option<(u64, u64)>,
        wanted: Wanted<'_>,
    ) -> Result<Answer<'_>, Fault> {
        // Sizes and hashes are those of the bytes that are stored.
        let mut headers: Vec<(HeaderName, HeaderValue)> =
            vec![(ACCEPT_ENCODING, HeaderValue::from_static("identity"))];
        let value = range.map(|(from, end)| format!("bytes={from}-{}", end.saturating_sub(1)));
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.push((RANGE, value));
        }
        let call = Call {
            method: Method::GET,
            url: url.clone(),
            headers,
            authorization: self.authorization.clone().filter(|_| self.options.endpoint.is_at(url)),
            form: None,
            plain: self.options.endpoint.is_plain(),
        };
        let answer = self.http.send(&self.host, &call)?;
        let answer = self.judge(answer, url, wanted)?;
        let kind = answer.header("content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
        if kind.starts_with("text/html") && !wanted.is_page() && answer.status() != 416 {
            return Err(HubError::Page { host: self.host.clone(), what: wanted.what() }.into());
        }
        Ok(answer)
    }

    /// What a status means.
    fn judge<'a>(
        &self,
        mut answer: Answer<'a>,
        asked: &Url,
        wanted: Wanted<'_>,
    ) -> Result<Answer<'a>, Fault> {
        let status = answer.status().as_u16();
        if answer.status().is_success() || status == 416 {
            return Ok(answer);
        }
        let code = answer.header("x-error-code").unwrap_or_default().to_owned();
        let said = self.said(&mut answer);
        if let Some(fault) = answer.passing(&said) {
            return Err(fault);
        }
        if let Wanted::File(listing, file) = wanted
            && code.is_empty()
        {
            let is_large = file.bytes > XET_ONLY;
            // The Hub gives a code to what it refuses. Who it sent us to may only find that we come too late.
            if answer.url() != asked {
                let place = answer.url().host_str().unwrap_or("nowhere");
                let xet = if is_large { "; files above 50 GB may need Xet" } else { "" };
                let reason = format!("{place} answered {status}, where there should be content{xet}");
                return Err(Fault::transient(reason));
            }
            if is_large && !matches!(status, 401 | 404) {
                let (host, repo, path) = (self.host.clone(), listing.id.to_string(), file.path.clone());
                return Err(HubError::NeedsXet { host, repo, path, bytes: file.bytes }.into());
            }
        }
        Err(self.refusal(status, &code, said, wanted).into())
    }

    fn refusal(&self, status: u16, code: &str, said: String, wanted: Wanted<'_>) -> HubError {
        let (host, repo) = (self.host.clone(), wanted.id());
        let with_token = self.authorization.is_some();
        let id = match wanted {
            Wanted::Model(id, _) => id,
            Wanted::File(listing, _) => &listing.id,
        };
        match (status, code, wanted) {
            (_, "GatedRepo", _) => {
                HubError::Gated { host, repo, page: self.options.endpoint.page(id), with_token }
            }
            (_, "RevisionNotFound", Wanted::Model(_, revision)) => {
                HubError::NoRevision { host, repo, revision: revision.to_string() }
            }
            (_, "RevisionNotFound", Wanted::File(listing, _)) => {
                HubError::NoRevision { host, repo, revision: listing.commit.clone() }
            }
            (_, "DisabledRepo", _) => HubError::Disabled { host, repo, said },
            (403, ..) if said.to_ascii_lowercase().contains("disabled") => {
                HubError::Disabled { host, repo, said }
            }
            (401, code, _) if with_token && code != "RepoNotFound" => HubError::BadToken { host, said },
            (404 | 410, code, Wanted::File(_, file)) if code != "RepoNotFound" => {
                HubError::NoFile { host, repo, path: file.path.clone() }
            }
            (401 | 404 | 410, ..) => HubError::NotFound { host, repo, with_token },
            _ => HubError::Refused { host, what: wanted.what(), status, said },
        }
    }

    /// What an answer says about itself, in one short piece, without what we sent.
    fn said(&self, answer: &mut Answer<'_>) -> String {
        const MAX_BODY: u64 = 64 * 1024;
        const SHOWN: usize = 200;
        #[derive(Deserialize)]
        struct Said {
            error: String,
        }
        let text = match answer.header("x-error-message") {
            Some(text) => text.to_owned(),
            // What cannot be read adds nothing to the status.
            None => match answer.bytes(MAX_BODY) {
                Ok(Some(bytes)) => {
                    serde_json::from_slice(&bytes).map_or(String::new(), |Said { error }| error)
                }
                _ => String::new(),
            },
        };
        let text = match &self.options.token {
            Some(token) => text.replace(token.expose(), "***"),
            None => text,
        };
        text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
    }
}
