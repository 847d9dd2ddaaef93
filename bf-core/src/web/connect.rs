//! How connections are made: who is believed, through which proxy, and what it means when there is none.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use reqwest::{Certificate, Client, ClientBuilder, NoProxy, Proxy};
use rustls::InvalidMessage;

use super::{Cancel, Fault, Limits, WebError};
use crate::settings::Environment;
use crate::tls;

/// What a client decides about its connections.
pub(crate) struct Setup<'a> {
    /// How messages call who is asked.
    pub(crate) host: &'a str,
    /// Whether all of it can go without TLS.
    pub(crate) plain: bool,
    /// Where proxies are looked up.
    pub(crate) environment: &'a Environment,
    /// Files with certificate authorities (PEM) that are believed besides the machine's.
    pub(crate) authorities: &'a [PathBuf],
    pub(crate) limits: Limits,
    pub(crate) cancel: &'a Cancel,
    /// Threads that read from the network.
    pub(crate) threads: usize,
}

impl Setup<'_> {
    pub(super) fn client(&self) -> Result<Client, WebError> {
        // Two clients of one process may come here; the second finds what it wants.
        tls::install();
        match self.builder()?.build() {
            Ok(built) => Ok(built),
            // A machine without any certificate authority can still speak plain HTTP.
            Err(_) if self.plain => self
                .builder()?
                .tls_certs_only(std::iter::empty())
                .build()
                .map_err(|error| self.failed(cause_of(error))),
            Err(error) => Err(self.failed(cause_of(error))),
        }
    }

    fn failed(&self, reason: String) -> WebError {
        WebError::Client { host: self.host.to_owned(), reason }
    }

    fn builder(&self) -> Result<ClientBuilder, WebError> {
        let mut builder = Client::builder()
            .user_agent(concat!("blackfish/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.limits.connect)
            .referer(false)
            .no_proxy();
        let variable = |name: &str| {
            self.environment.get(&name.to_ascii_lowercase()).or_else(|| self.environment.get(name))
        };
        let direct = variable("NO_PROXY").and_then(NoProxy::from_string);
        // Each of them has its own, or the one of all.
        for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
            if let Some(url) = variable(name).or_else(|| variable("ALL_PROXY")) {
                // The address may have a password in it.
                let proxy = if name == "HTTPS_PROXY" { Proxy::https(url) } else { Proxy::http(url) };
                let proxy = proxy.map_err(|_| self.failed(format!("{name} is no address of a proxy")))?;
                builder = builder.proxy(proxy.no_proxy(direct.clone()));
            }
        }
        let mut certificates = Vec::new();
        for path in self.authorities {
            let found = Certificate::from_pem_bundle(&fs_err::read(path)?).map_err(|error| {
                self.failed(format!("{} has no certificates: {}", path.display(), cause_of(error)))
            })?;
            // A file without any would be taken for one that vouches for nobody, and the registry would get the blame.
            if found.is_empty() {
                return Err(self.failed(format!("{} has no certificates", path.display())));
            }
            certificates.extend(found);
        }
        Ok(builder.tls_certs_merge(certificates))
    }
}

/// What an error of the library means.
pub(super) fn fault(host: &str, error: reqwest::Error) -> Fault<WebError> {
    let host = host.to_owned();
    match tls_error(&error) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            return WebError::Certificate { host, reason: cause_of(error) }.into();
        }
        // It will not learn it.
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            return WebError::NoTls { host }.into();
        }
        // No TLS that we speak.
        Some(_) => return WebError::Protocol { host, reason: cause_of(error) }.into(),
        None => {}
    }
    if error.is_builder() {
        return WebError::Protocol { host, reason: cause_of(error) }.into();
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
