//! An answer: its head, and its body as it comes.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};

use super::connect::fault;
use super::retry::{rate_limit, retry_after};
use super::{Fault, Http, WebError};

/// An answer whose body is still to come.
pub(crate) struct Answer<'a> {
    pub(super) http: &'a Http,
    pub(super) host: String,
    pub(super) response: reqwest::Response,
    /// Whether no redirect led to another origin.
    pub(super) is_own: bool,
    pub(super) pace: Pace,
}

/// How fast the body comes: what was waited for, and what came, since the last window of [`Limits`](super::Limits) was full.
#[derive(Debug, Default)]
pub(super) struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Answer<'_> {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Who gave it, after all redirects.
    pub(crate) fn url(&self) -> &Url {
        self.response.url()
    }

    /// Whether it is the answer of who was asked, at no step of another origin: of who sees what authorizes us.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Bytes that the body is said to have.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// Whether a part begins where we asked for it: `Content-Range: bytes 5-9/10`.
    pub(crate) fn continues(&self, from: u64, size: u64) -> bool {
        let parse = || {
            let range = self.header("content-range")?.trim().strip_prefix("bytes")?.trim_start();
            let (range, total) = range.split_once('/')?;
            let (first, _) = range.split_once('-')?;
            let total = total.trim();
            Some((first.trim().parse::<u64>().ok()?, if total == "*" { size } else { total.parse().ok()? }))
        };
        parse() == Some((from, size))
    }

    /// What a status means that may be another one the next time; nothing if it stays. `said` is what the answer says about it.
    pub(crate) fn passing<E>(&self, said: &str) -> Option<Fault<E>> {
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        let after = self.after();
        match self.status().as_u16() {
            429 => {
                let reason = format!("it limits how often it is asked{said}");
                Some(Fault::Transient { reason, after, limited: true })
            }
            // 501 and 505 are about what we ask, and stay.
            number @ (408 | 500 | 502..=504 | 506..) => {
                let reason = format!("it answered {number}{said}");
                Some(Fault::Transient { reason, after, limited: false })
            }
            _ => None,
        }
    }

    /// When it wants to be asked again.
    fn after(&self) -> Option<Duration> {
        let asked = self.header("retry-after").and_then(retry_after);
        asked.or_else(|| self.header("ratelimit").filter(|_| self.status() == 429).and_then(rate_limit))
    }

    /// The next bytes; nothing at the end.
    pub(crate) fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Fault<WebError>> {
        let limits = self.http.limits;
        let asked = Instant::now();
        let chunk = self.http.within(limits.stall, self.response.chunk())?;
        let chunk = chunk.map_err(|error| fault(&self.host, error))?;
        let Some(bytes) = &chunk else { return Ok(chunk) };
        self.pace.waited += asked.elapsed();
        self.pace.bytes = self.pace.bytes.saturating_add(bytes.len() as u64);
        if self.pace.waited >= limits.window {
            let Pace { waited, bytes } = std::mem::take(&mut self.pace);
            if bytes < limits.slowest {
                let reason = format!("only {bytes} bytes came in {} seconds", waited.as_secs());
                return Err(Fault::transient(reason));
            }
        }
        Ok(chunk)
    }

    /// The whole body; nothing if it has more than `limit` bytes.
    pub(crate) fn bytes(&mut self, limit: u64) -> Result<Option<Vec<u8>>, Fault<WebError>> {
        if self.length().is_some_and(|length| length > limit) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk()? {
            bytes.extend_from_slice(chunk.as_ref());
            if bytes.len() as u64 > limit {
                return Ok(None);
            }
        }
        Ok(Some(bytes))
    }
}
