//! The token service of a registry: what it is asked and what it answers.
//!
//! The formats are those of the distribution project's "Token Authentication Specification" (GET) and "OAuth2 Token
//! Authentication" (POST, for identity tokens).

use std::time::{Duration, Instant};

use reqwest::{Method, Url};
use serde::Deserialize;

use super::auth::basic;
use super::call::judge;
use super::challenge::Challenge;
use super::endpoint::Endpoint;
use super::error::Fault;
use super::{Credentials, RegistryError, Secret};
use crate::web::{Call, Http};

/// A token, and until when it is good.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) value: Secret,
    pub(super) good_until: Instant,
}

/// Bytes that an answer may have.
const MAX_ANSWER: u64 = 1024 * 1024;
/// How long a token is good if the service does not say so, by its specification.
const USUAL: u64 = 60;
/// Kept back, so that a token does not end on its way.
const RESERVE: u64 = 5;
/// The longest that is believed.
const LONGEST: u64 = 24 * 3600;

#[derive(Deserialize)]
struct Given {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// Gets a token for reading.
pub(super) fn fetch(
    http: &Http,
    endpoint: &Endpoint,
    challenge: &Challenge,
    credentials: Option<&Credentials>,
) -> Result<Token, Fault> {
    let protocol =
        |reason: &str| RegistryError::Protocol { registry: endpoint.host.clone(), reason: reason.to_owned() };
    let realm = challenge.parameters.get("realm").ok_or_else(|| protocol("no address of a token service"))?;
    let mut url = Url::parse(realm).map_err(|_| protocol("the token service's address is none"))?;
    if url.scheme() != "https" && !(endpoint.plain && url.scheme() == "http") {
        let reason = "to a token service without encryption".into();
        return Err(RegistryError::Insecure { registry: endpoint.host.clone(), reason }.into());
    }
    let service = challenge.parameters.get("service");
    let scope = scope(challenge, endpoint);
    let mut call = Call {
        method: Method::GET,
        url: url.clone(),
        headers: Vec::new(),
        authorization: None,
        form: None,
        plain: endpoint.plain,
    };
    match credentials {
        Some(Credentials::Identity { token }) => {
            // The library's way to write a form is the same as that of a query.
            let mut form = url.clone();
            form.query_pairs_mut()
                .clear()
                .append_pair("grant_type", "refresh_token")
                .append_pair("service", service.map_or("", String::as_str))
                .append_pair("client_id", "blackfish")
                .append_pair("scope", &scope)
                .append_pair("refresh_token", token.expose());
            call.method = Method::POST;
            call.form = Some(form.query().unwrap_or_default().to_owned());
        }
        other => {
            if let Some(service) = service {
                url.query_pairs_mut().append_pair("service", service);
            }
            url.query_pairs_mut().append_pair("scope", &scope);
            if let Some(Credentials::Basic { user, password }) = other {
                url.query_pairs_mut().append_pair("account", user);
                call.authorization = basic(user, password);
            }
            call.url = url;
        }
    }
    let answer = http.send(&endpoint.host, &call)?;
    let mut answer = judge(answer, endpoint, "a token")?;
    let bytes = answer.bytes(MAX_ANSWER)?.ok_or_else(|| protocol("the token is too long"))?;
    // Not what the parser says: it could quote the token.
    let given: Given =
        serde_json::from_slice(&bytes).map_err(|_| protocol("the token service's answer is no JSON"))?;
    let value = [given.token, given.access_token].into_iter().flatten().find(|token| !token.is_empty());
    let value = value.ok_or_else(|| protocol("the token service gave no token"))?;
    let seconds = given.expires_in.unwrap_or(USUAL).clamp(USUAL, LONGEST) - RESERVE;
    let good_until = Instant::now() + Duration::from_secs(seconds);
    Ok(Token { value: Secret::new(value), good_until })
}

/// What is asked for: what the registry names, as long as it is reading only.
fn scope(challenge: &Challenge, endpoint: &Endpoint) -> String {
    let named = challenge.parameters.get("scope");
    let reads = |scope: &&String| {
        scope.starts_with("repository:") && scope.ends_with(":pull") && !scope.contains(' ')
    };
    named.filter(reads).cloned().unwrap_or_else(|| format!("repository:{}:pull", endpoint.repository))
}
