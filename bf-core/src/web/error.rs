//! Why there was no answer, or none that can be used, whoever was asked.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// What can go wrong before an answer means anything. No variant holds a password, a token, or an address with a signature in it.
#[derive(Debug, Error)]
pub enum WebError {
    /// There can be no connections at all.
    #[error("no connection to {host} can be made: {reason}")]
    Client {
        /// Who was to be asked.
        host: String,
        /// Why.
        reason: String,
    },
    /// Its certificate is not believed.
    #[error("{host} is not trusted: {reason}")]
    Certificate {
        /// Who was asked.
        host: String,
        /// Why.
        reason: String,
    },
    /// What answers does not speak TLS.
    #[error("{host} does not speak HTTPS")]
    NoTls {
        /// Who was asked.
        host: String,
    },
    /// It sends us to where we do not go.
    #[error("{host} sends us to where we do not go: {reason}")]
    Insecure {
        /// Who was asked.
        host: String,
        /// Where, without anything that could be a secret.
        reason: String,
    },
    /// An answer of it makes no sense.
    #[error("{host} gave an answer that cannot be understood: {reason}")]
    Protocol {
        /// Who was asked.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be reached, or not well enough.
    #[error("{host} did not give {what}: {reason} ({tries} tries without progress)")]
    Unreachable {
        /// Who was asked.
        host: String,
        /// What for.
        what: String,
        /// What went wrong at last.
        reason: String,
        /// How often it was tried.
        tries: u32,
    },
    /// We asked it too often.
    #[error("{host} limits how often it is asked, and did not give {what} after {} seconds of waiting", waited.as_secs())]
    Limited {
        /// Who was asked.
        host: String,
        /// What for.
        what: String,
        /// How long we waited.
        waited: Duration,
    },
    /// The caller gave up.
    #[error("given up")]
    Cancelled,
    /// A file cannot be read, or the system gives us no threads.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why a request failed; `E` is the error of the client that made it.
#[derive(Debug)]
pub(crate) enum Fault<E> {
    /// It may go better the next time.
    Transient {
        /// What went wrong.
        reason: String,
        /// When the other side wants to be asked again.
        after: Option<Duration>,
        /// Whether it was too often (429).
        limited: bool,
    },
    /// It will not.
    Final(E),
}

impl<E> Fault<E> {
    pub(crate) fn transient(reason: impl Into<String>) -> Self {
        Self::Transient { reason: reason.into(), after: None, limited: false }
    }

    /// The same in the words of another client.
    pub(crate) fn map<F>(self, map: impl FnOnce(E) -> F) -> Fault<F> {
        match self {
            Self::Transient { reason, after, limited } => Fault::Transient { reason, after, limited },
            Self::Final(error) => Fault::Final(map(error)),
        }
    }
}

impl<E: Into<WebError>> From<E> for Fault<WebError> {
    fn from(error: E) -> Self {
        Self::Final(error.into())
    }
}
