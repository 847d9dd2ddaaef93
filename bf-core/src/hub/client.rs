//! The Hub: what it says of a model.

use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;

use super::call::Wanted;
use super::error::Fault;
use super::listing::{Described, Entry, Info};
use super::{Event, HubError, Listing, Options, Progress};
use crate::model::{ModelId, Revision};
use crate::web::{Http, Retry, Setup, bearer};

/// Bytes that an answer about a model may have.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;
/// Pages of files.
const MAX_PAGES: usize = 1000;
/// Files on all pages, after which it is no use to go on: a [`Listing`] has fewer.
const MAX_ENTRIES: usize = 200_000;

/// A Hub. It can be shared by threads.
pub struct Hub {
    pub(super) http: Http,
    pub(super) options: Options,
    /// How messages call it.
    pub(super) host: String,
    pub(super) authorization: Option<HeaderValue>,
}

impl Hub {
    /// The Hub that the options name. Nothing is asked yet.
    pub fn new(options: Options) -> Result<Self, HubError> {
        let host = options.endpoint.host();
        let http = Http::new(&Setup {
            host: &host,
            plain: options.endpoint.is_plain(),
            environment: &options.environment,
            authorities: &options.authorities,
            limits: options.limits,
            cancel: &options.cancel,
            threads: 2,
        })?;
        let authorization = options.token.as_ref().and_then(bearer);
        Ok(Self { http, options, host, authorization })
    }

    /// The same Hub and its connections, of which somebody else is told.
    #[must_use]
    pub fn telling(&self, progress: Progress) -> Self {
        let mut told = self.part();
        told.options.progress = progress;
        told
    }

    /// How messages call it: `huggingface.co`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The same Hub and its connections, for a part of the work that can be cancelled alone.
    pub(super) fn part(&self) -> Self {
        let options = Options { cancel: self.options.cancel.part(), ..self.options.clone() };
        let http = self.http.cancelled_by(&options.cancel);
        Self { http, options, host: self.host.clone(), authorization: self.authorization.clone() }
    }

    /// The model at a revision: its commit, its files, and what else is known of it.
    ///
    /// Of a gated model the listing is public: [`Hub::check_access`] tells whether its files are given to us.
    pub fn listing(&self, id: &ModelId, revision: &Revision) -> Result<Listing, HubError> {
        let wanted = Wanted::Model(id, revision);
        let wrong =
            |reason: String| HubError::Listing { host: self.host.clone(), repo: id.to_string(), reason };
        let (mut info, _): (Info, _) = self.json(&self.options.endpoint.info(id, revision), wanted)?;
        if info.disabled {
            return Err(HubError::Disabled { host: self.host.clone(), repo: info.id, said: String::new() });
        }
        let siblings = std::mem::take(&mut info.siblings);
        let mut files: Vec<Described> = siblings.into_iter().map(Described::from).collect();
        if !files.iter().all(Described::is_whole) {
            // Not every server knows `blobs=true`.
            let canonical = ModelId::parse(&info.id).map_err(|error| wrong(error.to_string()))?;
            let commit = info.sha.as_deref().and_then(|sha| Revision::parse(sha).ok());
            let commit = commit.filter(Revision::is_commit);
            let commit = commit.ok_or_else(|| wrong("it names no commit".into()))?;
            files = self.tree(&canonical, commit.as_str(), wanted)?;
        }
        info.listing(id, files).map_err(wrong)
    }

    /// All files of a model, page by page.
    fn tree(&self, id: &ModelId, commit: &str, wanted: Wanted<'_>) -> Result<Vec<Described>, HubError> {
        let wrong = |reason: &str| HubError::Listing {
            host: self.host.clone(),
            repo: id.to_string(),
            reason: reason.to_owned(),
        };
        let mut next = Some(self.options.endpoint.tree(id, commit));
        let mut files = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some(url) = next else { return Ok(files) };
            let (entries, link): (Vec<Entry>, Option<String>) = self.json(&url, wanted)?;
            files.extend(entries.into_iter().filter_map(Entry::described));
            if files.len() > MAX_ENTRIES {
                return Err(wrong("it has too many files"));
            }
            next = match link.as_deref().and_then(next_page) {
                None => None,
                Some(link) => {
                    let url = url.join(link).map_err(|_| wrong("its next page has no address"))?;
                    if !self.options.endpoint.is_at(&url) {
                        return Err(wrong("its next page is on another server"));
                    }
                    Some(url)
                }
            };
        }
        Err(wrong("its pages have no end"))
    }

    /// An answer in JSON, and its `Link`.
    fn json<T: DeserializeOwned>(
        &self,
        url: &Url,
        wanted: Wanted<'_>,
    ) -> Result<(T, Option<String>), HubError> {
        let what = wanted.what();
        self.trying(&what, |_| {
            let mut answer = self.ask(url, None, wanted)?;
            let link = answer.header("link").map(str::to_owned);
            let protocol =
                |reason: String| HubError::Listing { host: self.host.clone(), repo: what.clone(), reason };
            let bytes = answer.bytes(MAX_ANSWER)?.ok_or_else(|| protocol("it is too long".into()))?;
            let parsed = serde_json::from_slice(&bytes);
            // An answer that broke off is no JSON either, but then there was no end of it.
            let parsed =
                parsed.map_err(|error| protocol(format!("it is not the JSON that is expected: {error}")))?;
            Ok((parsed, link))
        })
    }

    /// Does something until it succeeds or there is no point in it.
    pub(super) fn trying<T>(
        &self,
        what: &str,
        mut work: impl FnMut(&Self) -> Result<T, Fault>,
    ) -> Result<T, HubError> {
        let (path, host) = (what.into(), self.host.clone());
        let told = |wait, reason| {
            let event =
                Event::Waiting { path: std::sync::Arc::clone(&path), host: host.clone(), wait, reason };
            (self.options.progress)(event);
        };
        self.refuse_offline(what)?;
        Retry::new(&self.http, self.options.limits, &told, &self.host, what).run(|| work(self))
    }

    /// That it may be asked at all.
    pub(super) fn refuse_offline(&self, what: &str) -> Result<(), HubError> {
        if self.options.offline {
            return Err(HubError::Offline { host: self.host.clone(), what: what.to_owned() });
        }
        Ok(())
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("endpoint", &self.options.endpoint).finish_non_exhaustive()
    }
}

/// `Link: <url>; rel="next"` (RFC 8288).
fn next_page(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (url, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = |parameter: &str| {
            let parameter = parameter.trim().replace([' ', '"'], "");
            parameter.eq_ignore_ascii_case("rel=next")
        };
        parameters.split(';').any(is_next).then_some(url)
    })
}

#[cfg(test)]
mod unit {
    use super::next_page;

    #[test]
    fn the_next_page_is_found_among_links() {
        let header = r#"<https://a/b?cursor=1>; rel="first", <https://a/b?cursor=2>; title=x; rel="next""#;
        assert_eq!(next_page(header), Some("https://a/b?cursor=2"));
        assert_eq!(next_page("<x>; rel=last"), None);
        assert_eq!(next_page("nonsense"), None);
    }
}
