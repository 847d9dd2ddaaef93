//! Who we are to one registry: nobody, a name and password, or a token of its token service.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use reqwest::header::HeaderValue;

use super::challenge::{self, Challenge};
use super::endpoint::Endpoint;
use super::error::Fault;
use super::token::{Token, fetch};
use super::{Credentials, RegistryError, Secret, base64};
use crate::web::{Answer, Http, bearer};

/// What one registry was told and told us.
#[derive(Debug, Default)]
pub(super) struct Auth {
    credentials: Option<Credentials>,
    known: Mutex<Known>,
}

/// What it wants.
#[derive(Debug, Default)]
enum Known {
    /// Nothing, as far as we know.
    #[default]
    Nothing,
    Basic,
    Token(Token),
}

impl Auth {
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, known: Mutex::default() }
    }

    pub(super) fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// A text of the registry without what we sent it.
    pub(super) fn redacted(&self, text: &str) -> String {
        match &self.credentials {
            Some(credentials) if !credentials.secret().expose().is_empty() => {
                text.replace(credentials.secret().expose(), "***")
            }
            _ => text.to_owned(),
        }
    }

    /// What is sent along, as far as it is known.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        self.of(&self.known())
    }

    fn of(&self, known: &Known) -> Option<HeaderValue> {
        match (known, &self.credentials) {
            (Known::Token(token), _) if token.good_until > Instant::now() => bearer(&token.value),
            (Known::Basic, Some(Credentials::Basic { user, password })) => basic(user, password),
            (Known::Basic, Some(Credentials::Bearer { token })) => bearer(token),
            _ => None,
        }
    }

    /// Held while a token is fetched, so that four connections fetch one.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a refusal of what `sent` came with: gets what the registry wants. Whether there is something new to try.
    pub(super) fn answer(
        &self,
        http: &Http,
        endpoint: &Endpoint,
        refusal: &Answer<'_>,
        sent: Option<&HeaderValue>,
    ) -> Result<bool, Fault> {
        let mut known = self.known();
        if let Some(now) = self.of(&known)
            && Some(&now) != sent
        {
            // Another connection was faster.
            return Ok(true);
        }
        let headers = refusal.headers().get_all("www-authenticate");
        let offers: Vec<Challenge> =
            headers.iter().filter_map(|header| header.to_str().ok()).flat_map(challenge::parse).collect();
        if let Some(Credentials::Bearer { .. }) = &self.credentials {
            let is_new = matches!(*known, Known::Nothing);
            *known = Known::Basic;
            return Ok(is_new);
        }
        if let Some(offer) = offers.iter().find(|offer| offer.scheme == "bearer") {
            *known = Known::Nothing;
            *known = Known::Token(fetch(http, endpoint, offer, self.credentials.as_ref())?);
            return Ok(true);
        }
        if offers.iter().any(|offer| offer.scheme == "basic") {
            let is_new = matches!(*known, Known::Nothing)
                && matches!(self.credentials, Some(Credentials::Basic { .. }));
            *known = Known::Basic;
            return Ok(is_new);
        }
        let reason = "it wants a login of a kind that is not known".to_owned();
        if offers.is_empty() {
            return Ok(false);
        }
        Err(RegistryError::Protocol { registry: endpoint.host.clone(), reason }.into())
    }
}

/// How a name and password are sent.
pub(super) fn basic(user: &str, password: &Secret) -> Option<HeaderValue> {
    let plain = format!("{user}:{}", password.expose());
    let mut value = HeaderValue::try_from(format!("Basic {}", base64::encode(plain.as_bytes()))).ok()?;
    value.set_sensitive(true);
    Some(value)
}
