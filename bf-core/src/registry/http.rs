//! One request and its answer: TLS, proxies, redirects, time limits, and giving up when told to.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::tls;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, ClientBuilder, Method, NoProxy, Proxy, StatusCode, Url};
use tokio::runtime::Runtime;

use super::{Cancel, Limits, Options, RegistryError};

/// Redirects that are followed for one request.
const MAX_REDIRECTS: usize = 10;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// It may go better the next time.
    Transient {
        /// What went wrong.
        reason: String,
        /// When the registry wants to be asked again.
        after: Option<Duration>,
        /// Whether it was too often (429).
        limited: bool,
    },
    /// It will not.
    Final(RegistryError),
}

impl Fault {
    pub(super) fn transient(reason: impl Into<String>) -> Self {
        Self::Transient { reason: reason.into(), after: None, limited: false }
    }
}

impl<E: Into<RegistryError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Final(error.into())
    }
}

/// What is asked.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Sent to the origin of `url` only.
    pub(super) authorization: Option<HeaderValue>,
    /// A form; such a call is never redirected.
    pub(super) form: Option<String>,
    /// Whether plain HTTP is allowed.
    pub(super) plain: bool,
}

/// Makes connections.
pub(super) struct Http {
    connections: Arc<Connections>,
    limits: Limits,
    cancel: Cancel,
}

struct Connections {
    /// Taken when dropped.
    runtime: Option<Runtime>,
    client: Client,
}

impl Http {
    pub(super) fn new(host: &str, options: &Options) -> Result<Self, RegistryError> {
        let client = |reason: String| RegistryError::Client { registry: host.to_owned(), reason };
        // Two clients of one process may come here; the second finds what it wants.
        tls::install();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("registry")
            .enable_io()
            .enable_time()
            .build()?;
        let built = builder(options, &client)?.build();
        let client = match built {
            Ok(built) => built,
            // A machine without any certificate authority can still speak plain HTTP.
            Err(_) if !options.https => builder(options, &client)?
                .tls_certs_only(std::iter::empty())
                .build()
                .map_err(|error| client(cause_of(error)))?,
            Err(error) => return Err(client(cause_of(error))),
        };
        let connections = Arc::new(Connections { runtime: Some(runtime), client });
        Ok(Self { connections, limits: options.limits, cancel: options.cancel.clone() })
    }

    /// The same connections, given up when another flag is set.
    pub(super) fn cancelled_by(&self, cancel: &Cancel) -> Self {
        Self { connections: Arc::clone(&self.connections), limits: self.limits, cancel: cancel.clone() }
    }

    /// Sends a request and follows redirects; the answer may have any status but those. Credentials do not follow to another origin.
    pub(super) fn send(&self, host: &str, call: &Call) -> Result<Answer<'_>, Fault> {
        let mut url = call.url.clone();
        let mut authorization = call.authorization.clone();
        for _ in 0..=MAX_REDIRECTS {
            check(host, &call.url, &url, call.plain)?;
            let mut request = self.connections.client.request(call.method.clone(), url.clone());
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            if let Some(authorization) = &authorization {
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
                return Ok(Answer { http: self, host: host.to_owned(), response });
            }
            let protocol = |reason: &str| RegistryError::Protocol {
                registry: host.to_owned(),
                reason: reason.to_owned(),
            };
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            let next = next.ok_or_else(|| protocol("a redirect without an address"))?;
            if call.form.is_some() {
                return Err(protocol("a redirect of what must not be redirected").into());
            }
            if next.origin() != url.origin() {
                authorization = None;
            }
            url = next;
        }
        Err(RegistryError::Protocol { registry: host.to_owned(), reason: "redirects without an end".into() }
            .into())
    }

    /// Waits, unless it is cancelled.
    pub(super) fn sleep(&self, pause: Duration) -> Result<(), RegistryError> {
        let Some(runtime) = self.connections.runtime.as_ref().filter(|_| !self.cancel.is_cancelled()) else {
            return Err(RegistryError::Cancelled);
        };
        runtime.block_on(async {
            tokio::select! {
                () = self.cancel.cancelled() => Err(RegistryError::Cancelled),
                () = tokio::time::sleep(pause) => Ok(()),
            }
        })
    }

    fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, Fault> {
        let Some(runtime) = self.connections.runtime.as_ref().filter(|_| !self.cancel.is_cancelled()) else {
            return Err(RegistryError::Cancelled.into());
        };
        runtime.block_on(async {
            tokio::select! {
                () = self.cancel.cancelled() => Err(RegistryError::Cancelled.into()),
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

/// An answer whose body is still to come.
pub(super) struct Answer<'a> {
    http: &'a Http,
    host: String,
    response: reqwest::Response,
}

impl Answer<'_> {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Bytes that the body is said to have.
    pub(super) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// The next bytes; nothing at the end.
    pub(super) fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Fault> {
        let limit = self.http.limits.stall;
        self.http.within(limit, self.response.chunk())?.map_err(|error| fault(&self.host, error))
    }

    /// The whole body; nothing if it has more than `limit` bytes.
    pub(super) fn bytes(mut self, limit: u64) -> Result<Option<Vec<u8>>, Fault> {
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

fn builder(
    options: &Options,
    client: &impl Fn(String) -> RegistryError,
) -> Result<ClientBuilder, RegistryError> {
    let mut builder = Client::builder()
        .user_agent(concat!("blackfish/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(options.limits.connect)
        .referer(false)
        .no_proxy();
    let environment = &options.environment;
    let variable = |name: &str| environment.get(&name.to_ascii_lowercase()).or_else(|| environment.get(name));
    let direct = variable("NO_PROXY").and_then(NoProxy::from_string);
    // Each of them has its own, or the one of all.
    for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
        if let Some(url) = variable(name).or_else(|| variable("ALL_PROXY")) {
            // The address may have a password in it.
            let proxy = if name == "HTTPS_PROXY" { Proxy::https(url) } else { Proxy::http(url) };
            let proxy = proxy.map_err(|_| client(format!("{name} is no address of a proxy")))?;
            builder = builder.proxy(proxy.no_proxy(direct.clone()));
        }
    }
    let mut certificates = Vec::new();
    for path in &options.authorities {
        let found = Certificate::from_pem_bundle(&fs_err::read(path)?).map_err(|error| {
            client(format!("{} has no certificates: {}", path.display(), cause_of(error)))
        })?;
        certificates.extend(found);
    }
    Ok(builder.tls_certs_merge(certificates))
}

/// That we may go there.
fn check(host: &str, from: &Url, url: &Url, plain: bool) -> Result<(), RegistryError> {
    let insecure = |reason: String| RegistryError::Insecure { registry: host.to_owned(), reason };
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

fn fault(host: &str, error: reqwest::Error) -> Fault {
    match tls_error(&error) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            return RegistryError::Certificate { registry: host.to_owned(), reason: cause_of(error) }.into();
        }
        // What answers does not speak TLS, or none that we speak: it will not learn it.
        Some(_) => {
            return RegistryError::Protocol { registry: host.to_owned(), reason: cause_of(error) }.into();
        }
        None => {}
    }
    if error.is_builder() {
        return RegistryError::Protocol { registry: host.to_owned(), reason: cause_of(error) }.into();
    }
    Fault::transient(cause_of(error))
}

/// What TLS complains of, where it is TLS.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(next) = cause {
        // Errors of I/O hide what is in them from `source`, and are put into each other.
        let mut inner: &(dyn std::error::Error + 'static) = next;
        while let Some(deeper) = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            inner = deeper;
        }
        if let Some(found) = inner.downcast_ref() {
            return Some(found);
        }
        cause = next.source();
    }
    None
}

/// The last cause of an error: those above say only that there was one, and in which layer. Without the address that it speaks of.
fn cause_of(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = next.to_string();
        cause = next.source();
    }
    text
}
