//! Where a repository is: at its registry, or at a mirror of it.

use reqwest::Url;

use super::auth::Auth;
use super::{Options, RegistryError, credentials};
use crate::image::{Digest, Reference};

/// A repository at one host.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// How messages call it: `docker.io`.
    pub(super) host: String,
    /// Its name there, with the mirror's path in front.
    pub(super) repository: String,
    /// `https://registry-1.docker.io/v2/library/ubuntu`.
    base: String,
    /// Whether plain HTTP is allowed.
    pub(super) plain: bool,
    /// Whether another one is asked when this one fails.
    pub(super) is_mirror: bool,
    pub(super) auth: Auth,
}

impl Endpoint {
    /// The registry that a reference names.
    pub(super) fn of_registry(reference: &Reference, options: &Options) -> Result<Self, RegistryError> {
        let (host, repository) = (reference.registry(), reference.repository());
        let address = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let scheme = if options.https { "https" } else { "http" };
        let base = format!("{scheme}://{address}/v2/{repository}");
        checked(&base, host)?;
        let found = match credentials::from_environment(&options.environment) {
            Some(found) => Some(found),
            None => credentials::from_files(host, repository, &options.environment)?,
        };
        Ok(Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            base,
            plain: !options.https,
            is_mirror: false,
            auth: Auth::new(found),
        })
    }

    /// A mirror of it.
    pub(super) fn of_mirror(
        mirror: &str,
        reference: &Reference,
        options: &Options,
    ) -> Result<Self, RegistryError> {
        let shown = mirror.rsplit_once('@').map_or(mirror, |(_, behind)| behind);
        let url = checked(mirror, shown)?;
        let wrong = |reason| RegistryError::Address { text: shown.chars().take(100).collect(), reason };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("a `?` or `#` has no meaning in it"));
        }
        let path = url.path().trim_matches('/');
        let repository = if path.is_empty() {
            reference.repository().to_owned()
        } else {
            format!("{path}/{}", reference.repository())
        };
        let name = url.host_str().ok_or_else(|| wrong("it has no host"))?;
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let found = credentials::from_files(&host, &repository, &options.environment)?;
        Ok(Self {
            base: format!("{}://{host}/v2/{repository}", url.scheme()),
            host,
            repository,
            plain: url.scheme() == "http",
            is_mirror: true,
            auth: Auth::new(found),
        })
    }

    /// A place of a foreign layer: no registry, and nobody whom we tell who we are.
    pub(super) fn of_url(url: &Url, options: &Options) -> Self {
        Self {
            host: url.host_str().unwrap_or("nowhere").to_owned(),
            repository: String::new(),
            base: String::new(),
            plain: !options.https,
            is_mirror: true,
            auth: Auth::default(),
        }
    }

    /// Where a manifest is; `name` is a tag or a digest.
    pub(super) fn manifest(&self, name: &str) -> Result<Url, RegistryError> {
        checked(&format!("{}/manifests/{name}", self.base), &self.host)
    }

    /// Where a blob is.
    pub(super) fn blob(&self, digest: &Digest) -> Result<Url, RegistryError> {
        checked(&format!("{}/blobs/{digest}", self.base), &self.host)
    }
}

/// A web address without a name and password in it.
fn checked(text: &str, shown: &str) -> Result<Url, RegistryError> {
    let wrong = |reason| RegistryError::Address { text: shown.chars().take(100).collect(), reason };
    let url = Url::parse(text).map_err(|_| wrong("it is no web address"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it must begin with `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("a name and password belong into a file of credentials"));
    }
    Ok(url)
}
