//! When to try again: pauses that double, with some chance in them, and what the other side asks for.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderValue;

use super::{Fault, Http, Limits, Secret, WebError};

/// What came of something, and had not come before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fresh {
    pub(crate) bytes: u64,
    /// How long we have held it up ourselves, for the limit of the bandwidth: the other side is not to blame for that.
    pub(crate) held: Duration,
}

/// Tries of one thing at one host.
pub(crate) struct Retry<'a> {
    http: &'a Http,
    limits: Limits,
    /// Told how long it waits, and why.
    told: &'a dyn Fn(Duration, String),
    host: &'a str,
    what: &'a str,
    tries: u32,
    waited: Duration,
    /// Since all tries were there, without the pauses since then.
    since: Instant,
    paused: Duration,
    bytes: u64,
}

impl<'a> Retry<'a> {
    pub(crate) fn new(
        http: &'a Http,
        limits: Limits,
        told: &'a dyn Fn(Duration, String),
        host: &'a str,
        what: &'a str,
    ) -> Self {
        Self {
            http,
            limits,
            told,
            host,
            what,
            tries: 0,
            waited: Duration::ZERO,
            since: Instant::now(),
            paused: Duration::ZERO,
            bytes: 0,
        }
    }

    /// What came since this was said the last time. All tries are there again, if it did not come slower than [`Limits::slowest`]:
    /// who gives a byte each time could else hold us for ever.
    pub(crate) fn progressed(&mut self, fresh: Fresh) {
        self.bytes = self.bytes.saturating_add(fresh.bytes);
        self.paused = self.paused.saturating_add(fresh.held);
        let took = self.since.elapsed().saturating_sub(self.paused);
        let least = u128::from(self.limits.slowest) * took.as_millis();
        if self.bytes > 0 && u128::from(self.bytes) * self.limits.window.as_millis() >= least {
            (self.tries, self.bytes) = (0, 0);
            (self.since, self.paused) = (Instant::now(), Duration::ZERO);
        }
    }

    /// Waits until the next try; the error, if there is none.
    pub(crate) fn wait<E: From<WebError>>(&mut self, fault: Fault<E>) -> Result<(), E> {
        let (reason, after, limited) = match fault {
            Fault::Final(error) => return Err(error),
            Fault::Transient { reason, after, limited } => (reason, after, limited),
        };
        self.tries += 1;
        if self.tries >= self.limits.tries {
            let (host, what) = (self.host.to_owned(), self.what.to_owned());
            return Err(E::from(if limited {
                WebError::Limited { host, what, waited: self.waited }
            } else {
                WebError::Unreachable { host, what, reason, tries: self.tries }
            }));
        }
        let doubled = self.limits.pause.saturating_mul(1 << (self.tries - 1).min(16));
        let wait = after.unwrap_or_else(|| jittered(doubled)).min(self.limits.longest_pause);
        (self.told)(wait, reason);
        self.waited = self.waited.saturating_add(wait);
        self.paused = self.paused.saturating_add(wait);
        Ok(self.http.sleep(wait)?)
    }

    /// Does something until it succeeds or there is no point in it.
    pub(crate) fn run<T, E: From<WebError>>(
        &mut self,
        mut work: impl FnMut() -> Result<T, Fault<E>>,
    ) -> Result<T, E> {
        loop {
            match work() {
                Ok(done) => return Ok(done),
                Err(fault) => self.wait(fault)?,
            }
        }
    }
}

/// How a token is sent.
pub(crate) fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Between half of it and all of it, so that a hundred jobs do not come back at once.
fn jittered(pause: Duration) -> Duration {
    // Without chance it is the whole pause.
    let chance = getrandom::u32().unwrap_or(u32::MAX);
    pause.mul_f64(0.5 + 0.5 * f64::from(chance) / f64::from(u32::MAX))
}

/// `Retry-After`: seconds, or a date of HTTP (RFC 9110, section 10.2.3).
pub(super) fn retry_after(header: &str) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(header).ok()?;
    let seconds = u64::try_from(date.as_second()).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(seconds).saturating_sub(now))
}

/// `RateLimit: "api";r=0;t=55`: the seconds until there are requests again (draft-ietf-httpapi-ratelimit-headers).
pub(super) fn rate_limit(header: &str) -> Option<Duration> {
    let mut parts = header.split([';', ',']).map(str::trim);
    let seconds = parts.find_map(|part| part.strip_prefix("t=")?.trim().parse().ok())?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_says_seconds_or_a_date() {
        assert_eq!(retry_after(" 120 "), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let far = retry_after("Fri, 31 Dec 2100 23:59:59 GMT").unwrap();
        assert!(far > Duration::from_secs(1_000_000_000), "{far:?}");
        assert_eq!(retry_after("soon"), None);
        assert_eq!(rate_limit("\"resolvers\";r=0;t=55"), Some(Duration::from_secs(55)));
        assert_eq!(rate_limit("limit=3"), None);
    }

    #[test]
    fn a_pause_is_never_longer_than_it_may_be() {
        for _ in 0..100 {
            let pause = jittered(Duration::from_secs(10));
            assert!((Duration::from_secs(5)..=Duration::from_secs(10)).contains(&pause), "{pause:?}");
        }
    }
}
