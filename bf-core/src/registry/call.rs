//! A request to a registry: with what it wants to know of us, and what its refusals mean.

use reqwest::header::{ACCEPT_ENCODING, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::RegistryError;
use super::endpoint::Endpoint;
use super::error::Fault;
use crate::web::{Answer, Call, Http};

/// Asks once, and once more if the registry wants to know who we are. The answer is a success, or `416`.
///
/// Only the registry's own word counts for that: where it sends us to could name a token service of its own.
pub(super) fn ask<'a>(
    http: &'a Http,
    endpoint: &Endpoint,
    method: &Method,
    url: &Url,
    headers: &[(HeaderName, HeaderValue)],
    what: &str,
) -> Result<Answer<'a>, Fault> {
    let mut headers = headers.to_vec();
    // Sizes and digests are those of the bytes that are stored.
    headers.push((ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    let mut call = Call {
        method: method.clone(),
        url: url.clone(),
        headers,
        authorization: endpoint.auth.header(),
        form: None,
        plain: endpoint.plain,
    };
    let mut answer = http.send(&endpoint.host, &call)?;
    if answer.status().as_u16() == 401
        && answer.is_own()
        && !endpoint.repository.is_empty()
        && endpoint.auth.answer(http, endpoint, &answer, call.authorization.as_ref())?
    {
        call.authorization = endpoint.auth.header();
        answer = http.send(&endpoint.host, &call)?;
    }
    judge(answer, endpoint, what)
}

/// What a status means.
pub(super) fn judge<'a>(
    mut answer: Answer<'a>,
    endpoint: &Endpoint,
    what: &str,
) -> Result<Answer<'a>, Fault> {
    let status = answer.status();
    let number = status.as_u16();
    if status.is_success() || number == 416 {
        return Ok(answer);
    }
    let said = said(&mut answer, endpoint);
    if let Some(fault) = answer.passing(&said) {
        return Err(fault);
    }
    let registry = endpoint.host.clone();
    Err(Fault::Final(match number {
        401 | 403 if !answer.is_own() => RegistryError::DeniedElsewhere {
            registry,
            // The rest of the address may be a signature that lets anyone in.
            place: place(answer.url()),
            what: what.to_owned(),
            status: number,
            said,
        },
        401 | 403 => RegistryError::Denied {
            registry,
            repository: endpoint.repository.clone(),
            status: number,
            said,
            with_credentials: endpoint.auth.has_credentials(),
        },
        404 | 410 => RegistryError::NotFound { registry, what: what.to_owned() },
        _ => RegistryError::Refused { registry, what: what.to_owned(), status: number, said },
    }))
}

/// The host of an address, and its port if it is an unusual one.
fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The first error that the body speaks of, in one short piece.
fn said(answer: &mut Answer<'_>, endpoint: &Endpoint) -> String {
    const MAX_BODY: u64 = 64 * 1024;
    const SHOWN: usize = 200;
    // What cannot be read adds nothing to the status.
    let Ok(Some(bytes)) = answer.bytes(MAX_BODY) else { return String::new() };
    let Ok(Errors { errors }) = serde_json::from_slice(&bytes) else { return String::new() };
    let Some(Said { code, message }) = errors.into_iter().next() else { return String::new() };
    let text = if message.is_empty() { code } else { message };
    endpoint.auth.redacted(&text).chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}
