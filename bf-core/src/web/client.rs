//! One request and its answer: redirects, time limits, and giving up when told to.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, Url};
use tokio::runtime::Runtime;

use super::answer::Pace;
use super::connect::fault;
use super::{Answer, Cancel, Fault, Limits, Setup, WebError};

/// Redirects that are followed for one request.
const MAX_REDIRECTS: usize = 10;

/// What is asked.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Sent to the origin of `url` only.
    pub(crate) authorization: Option<HeaderValue>,
    /// A form; such a call is never redirected.
    pub(crate) form: Option<String>,
    /// Whether plain HTTP is allowed.
    pub(crate) plain: bool,
}

/// Makes connections.
pub(crate) struct Http {
    connections: Arc<Connections>,
    pub(super) limits: Limits,
    cancel: Cancel,
}

struct Connections {
    /// Taken when dropped.
    runtime: Option<Runtime>,
    client: Client,
}

impl Http {
    pub(crate) fn new(setup: &Setup<'_>) -> Result<Self, WebError> {
        let client = setup.client()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(setup.threads.max(1))
            .thread_name("network")
            .enable_io()
            .enable_time()
            .build()?;
        let connections = Arc::new(Connections { runtime: Some(runtime), client });
        Ok(Self { connections, limits: setup.limits, cancel: setup.cancel.clone() })
    }

    /// The same connections, given up when another flag is set.
    pub(crate) fn cancelled_by(&self, cancel: &Cancel) -> Self {
        Self { connections: Arc::clone(&self.connections), limits: self.limits, cancel: cancel.clone() }
    }

    /// Sends a request and follows redirects; the answer may have any status but those. Credentials do not follow to another origin.
    pub(crate) fn send(&self, host: &str, call: &Call) -> Result<Answer<'_>, Fault<WebError>> {
        let mut url = call.url.clone();
        let mut is_own = true;
        for _ in 0..=MAX_REDIRECTS {
            check(host, &call.url, &url, call.plain)?;
            let mut request = self.connections.client.request(call.method.clone(), url.clone());
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            if let Some(authorization) = call.authorization.as_ref().filter(|_| is_own) {
                request = request.header(AUTHORIZATION, authorization);
            }
            if let Some(form) = &call.form {
                request = request
                    .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.clone());
            }
            let limit = self.limits.connect.saturating_add(self.limits.stall);
            let response = self.within(limit, request.send())?.map_err(|error| fault(host, error))?;
            let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            if !is_redirect {
                let (host, pace) = (host.to_owned(), Pace::default());
                return Ok(Answer { http: self, host, response, is_own, pace });
            }
            let protocol =
                |reason: &str| WebError::Protocol { host: host.to_owned(), reason: reason.to_owned() };
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            let next = next.ok_or_else(|| protocol("a redirect without an address"))?;
            if call.form.is_some() {
                return Err(protocol("a redirect of what must not be redirected").into());
            }
            // Who leaves it and comes back stays a stranger: it was somebody else who sent us there.
            is_own &= next.origin() == url.origin();
            url = next;
        }
        Err(WebError::Protocol { host: host.to_owned(), reason: "redirects without an end".into() }.into())
    }

    /// Waits, unless it is cancelled.
    pub(crate) fn sleep(&self, pause: Duration) -> Result<(), WebError> {
        let Some(runtime) = self.connections.runtime.as_ref().filter(|_| !self.cancel.is_cancelled()) else {
            return Err(WebError::Cancelled);
        };
        runtime.block_on(async {
            tokio::select! {
                () = self.cancel.cancelled() => Err(WebError::Cancelled),
                () = tokio::time::sleep(pause) => Ok(()),
            }
        })
    }

    pub(super) fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Fault<WebError>> {
        let Some(runtime) = self.connections.runtime.as_ref().filter(|_| !self.cancel.is_cancelled()) else {
            return Err(WebError::Cancelled.into());
        };
        runtime.block_on(async {
            tokio::select! {
                () = self.cancel.cancelled() => Err(WebError::Cancelled.into()),
                done = tokio::time::timeout(limit, work) => {
                    done.map_err(|_| Fault::transient(format!("nothing came for {} seconds", limit.as_secs())))
                }
            }
        })
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // Not waiting for connections that idle; and who drops it may be in a runtime, where waiting would be a panic.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// That we may go there.
fn check(host: &str, from: &Url, url: &Url, plain: bool) -> Result<(), WebError> {
    let insecure = |reason: String| WebError::Insecure { host: host.to_owned(), reason };
    // Of the address only the host is shown: the rest may be a signature that lets anyone in.
    let place = url.host_str().unwrap_or("nowhere").to_owned();
    match url.scheme() {
        "https" => {}
        "http" if plain && from.scheme() == "http" => {}
        "http" => return Err(insecure(format!("to {place} without encryption"))),
        _ => return Err(insecure(format!("to {place}, which is no web address"))),
    }
    if url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    Err(insecure(format!("to {place} with a name and password in the address")))
}
