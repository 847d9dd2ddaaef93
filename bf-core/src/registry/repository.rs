//! One repository of one registry: what its tags are, and its manifests.

use std::sync::Arc;

use reqwest::header::{ACCEPT, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::call::ask;
use super::endpoint::Endpoint;
use super::error::Fault;
use super::{Event, Limits, Options, RegistryError};
use crate::digest;
use crate::image::{Digest, Reference};
use crate::oci::{Descriptor, Document, MAX_MANIFEST, OciError, Platform, media};
use crate::web::{Answer, Http, Retry, Setup};

/// Tries at a mirror: there is another one to ask.
const MIRROR_TRIES: u32 = 2;
/// Addresses of a layer that are tried before the registry itself is asked for it.
const MAX_URLS: usize = 5;
/// How deep indexes of indexes are followed.
const MAX_DEPTH: usize = 4;
const DIGEST_HEADER: &str = "docker-content-digest";

/// A repository. It can be shared by threads.
pub struct Repository {
    pub(super) reference: Reference,
    pub(super) http: Http,
    /// The mirrors, then the registry.
    endpoints: Arc<Vec<Endpoint>>,
    pub(super) options: Options,
}

/// A manifest or index as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What it hashes to.
    pub digest: Digest,
    /// What the registry says that it is.
    pub media_type: Option<String>,
    /// It.
    pub bytes: Vec<u8>,
}

impl Repository {
    /// The repository of this reference. Nothing is asked yet; files with credentials are read.
    pub fn new(reference: &Reference, options: Options) -> Result<Self, RegistryError> {
        let mirrors = options.mirrors.iter();
        let mut endpoints = mirrors
            .map(|mirror| Endpoint::of_mirror(mirror, reference, &options))
            .collect::<Result<Vec<_>, _>>()?;
        endpoints.push(Endpoint::of_registry(reference, &options)?);
        let http = Http::new(&Setup {
            host: reference.registry(),
            plain: !options.https,
            environment: &options.environment,
            authorities: &options.authorities,
            limits: options.limits,
            cancel: &options.cancel,
            threads: 1,
        })?;
        Ok(Self { reference: reference.clone(), http, endpoints: Arc::new(endpoints), options })
    }

    /// The same repository and its connections, for a part of the work that can be cancelled alone.
    #[must_use]
    pub fn part(&self) -> Self {
        let options = Options { cancel: self.options.cancel.part(), ..self.options.clone() };
        let http = self.http.cancelled_by(&options.cancel);
        Self { reference: self.reference.clone(), http, endpoints: Arc::clone(&self.endpoints), options }
    }

    /// The digest that the reference stands for now: of its index, if it has one. Costs one small request; a mirror's answer is
    /// the mirror's word. Where a registry does not answer such a request the whole manifest is fetched.
    pub fn digest(&self) -> Result<Digest, RegistryError> {
        let (name, what) = self.wanted();
        self.anywhere(&what, |endpoint, retry| {
            let url = endpoint.manifest(&name)?;
            let head = retry.run(|| {
                let answer = ask(&self.http, endpoint, &Method::HEAD, &url, &accepted(), &what)?;
                Ok(said_digest(&answer))
            });
            match head {
                Ok(Some(digest)) => Ok(digest),
                Ok(None) | Err(RegistryError::Refused { .. }) => {
                    Ok(self.manifest_at(endpoint, retry, &name, self.reference.digest(), &what)?.digest)
                }
                Err(error) => Err(error),
            }
        })
    }

    /// The manifest or index that the reference stands for.
    pub fn manifest(&self) -> Result<Fetched, RegistryError> {
        let (name, what) = self.wanted();
        self.anywhere(&what, |endpoint, retry| {
            self.manifest_at(endpoint, retry, &name, self.reference.digest(), &what)
        })
    }

    /// The manifest of an image for this machine: the reference's own, or the one that its index names.
    pub fn manifest_for(
        &self,
        platform: &Platform,
    ) -> Result<(Fetched, crate::oci::Manifest), RegistryError> {
        let name = self.reference.to_string();
        let mut fetched = self.manifest()?;
        for _ in 0..MAX_DEPTH {
            let index = match Document::parse(&fetched.bytes, fetched.media_type.as_deref(), &name)? {
                Document::Manifest(manifest) => {
                    manifest.check(&name)?;
                    return Ok((fetched, manifest));
                }
                Document::Index(index) => index,
            };
            let entry = platform.choose_or_fail(&index, &name)?;
            let digest = entry.digest.clone();
            let what = format!("{}@{digest}", self.reference.repository());
            fetched = self.anywhere(&what, |endpoint, retry| {
                self.manifest_at(endpoint, retry, &digest.to_string(), Some(&digest), &what)
            })?;
        }
        let reason = format!("indexes are nested deeper than {MAX_DEPTH}");
        Err(OciError::Malformed { name, what: "manifest", reason }.into())
    }

    /// What is asked for, and how messages call it.
    fn wanted(&self) -> (String, String) {
        let repository = self.reference.repository();
        match (self.reference.digest(), self.reference.tag()) {
            (Some(digest), _) => (digest.to_string(), format!("{repository}@{digest}")),
            (None, tag) => {
                let tag = tag.unwrap_or("latest");
                (tag.to_owned(), format!("{repository}:{tag}"))
            }
        }
    }

    fn manifest_at(
        &self,
        endpoint: &Endpoint,
        retry: &mut Retry<'_>,
        name: &str,
        pinned: Option<&Digest>,
        what: &str,
    ) -> Result<Fetched, RegistryError> {
        let url = endpoint.manifest(name)?;
        retry.run(|| {
            let mut answer = ask(&self.http, endpoint, &Method::GET, &url, &accepted(), what)?;
            let said = said_digest(&answer);
            let media_type = answer.header("content-type").map(str::to_owned);
            let bytes = answer.bytes(MAX_MANIFEST)?.ok_or_else(|| OciError::TooLarge {
                name: what.to_owned(),
                what: "manifest",
                limit: MAX_MANIFEST,
            })?;
            let digest = parsed(&bytes).ok_or_else(|| Fault::transient("its manifest has no digest"))?;
            for expected in [pinned, said.as_ref()].into_iter().flatten() {
                if *expected != digest {
                    let (registry, repository) = (endpoint.host.clone(), endpoint.repository.clone());
                    let reason = format!("a manifest that hashes to {digest}");
                    let digest = expected.clone();
                    return Err(RegistryError::WrongContent { registry, repository, digest, reason }.into());
                }
            }
            Ok(Fetched { digest, media_type, bytes })
        })
    }

    /// Asks the mirrors and then the registry, until one has it.
    fn anywhere<T>(
        &self,
        what: &str,
        work: impl FnMut(&Endpoint, &mut Retry<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        self.among(self.endpoints.iter(), what, work)
    }

    fn among<'a, T>(
        &'a self,
        endpoints: impl Iterator<Item = &'a Endpoint>,
        what: &str,
        mut work: impl FnMut(&'a Endpoint, &mut Retry<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut failed = None;
        for endpoint in endpoints {
            let tries = if endpoint.is_mirror { MIRROR_TRIES } else { u32::MAX };
            let limits = Limits { tries: self.options.limits.tries.min(tries), ..self.options.limits };
            let told = |wait, reason| {
                (self.options.progress)(Event::Waiting { registry: endpoint.host.clone(), wait, reason });
            };
            let mut retry = Retry::new(&self.http, limits, &told, &endpoint.host, what);
            match work(endpoint, &mut retry) {
                Ok(done) => return Ok(done),
                // Not about who was asked: another one would not help.
                Err(
                    error @ (RegistryError::Cancelled | RegistryError::Io(_) | RegistryError::Busy { .. }),
                ) => {
                    return Err(error);
                }
                Err(error) if endpoint.is_mirror => {
                    let (registry, reason) = (endpoint.host.clone(), error.to_string());
                    (self.options.progress)(Event::Fallback { registry, reason });
                    failed = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(failed.unwrap_or(RegistryError::Cancelled))
    }

    /// Calls `work` with each address of a blob until one has it: for layers that registries need not have, first where their
    /// descriptors say.
    pub(super) fn blob_anywhere<T>(
        &self,
        blob: &Descriptor,
        what: &str,
        mut work: impl FnMut(&Endpoint, &Url, &mut Retry<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let urls = blob.urls.iter().filter(|_| blob.is_foreign()).filter_map(|url| Url::parse(url).ok());
        // Each of them may let us wait as long as it likes.
        let urls = urls.take(MAX_URLS);
        let foreign: Vec<(Endpoint, Url)> =
            urls.map(|url| (Endpoint::of_url(&url, &self.options), url)).collect();
        let all = foreign.iter().map(|(endpoint, _)| endpoint).chain(self.endpoints.iter());
        self.among(all, what, |endpoint, retry| {
            let url = match foreign.iter().find(|(other, _)| std::ptr::eq(other, endpoint)) {
                Some((_, url)) => url.clone(),
                None => endpoint.blob(&blob.digest)?,
            };
            work(endpoint, &url, retry)
        })
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("reference", &self.reference).finish_non_exhaustive()
    }
}

fn accepted() -> Vec<(HeaderName, HeaderValue)> {
    media::ACCEPTED.iter().map(|media| (ACCEPT, HeaderValue::from_static(media))).collect()
}

fn said_digest(answer: &Answer<'_>) -> Option<Digest> {
    answer.header(DIGEST_HEADER)?.parse().ok()
}

fn parsed(bytes: &[u8]) -> Option<Digest> {
    format!("sha256:{}", digest::of_bytes(bytes)).parse().ok()
}
