//! Why the Hub did not give what was asked for.

use std::io;

use thiserror::Error;

use crate::report::{Exit, Explain, human_bytes};
use crate::web::{self, WebError};

/// What can go wrong. No variant holds a token, or an address with a signature in it.
#[derive(Debug, Error)]
pub enum HubError {
    /// The address of the Hub is none.
    #[error("{text:?} is no address of a Hub: {reason}")]
    Endpoint {
        /// What was given, without a name and password.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What should be a token is none.
    #[error("{place} holds characters that no token has")]
    Token {
        /// The variable or file.
        place: String,
    },
    /// Nobody may be asked.
    #[error("{host} is not asked for {what}: HF_HUB_OFFLINE is set")]
    Offline {
        /// The host.
        host: String,
        /// What was wanted.
        what: String,
    },
    /// There is no such model, or we may not know of it.
    #[error("{host} has no model {repo}, or it is private")]
    NotFound {
        /// The host.
        host: String,
        /// The model.
        repo: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The model has no such branch, tag or commit.
    #[error("{repo} on {host} has no revision {revision}")]
    NoRevision {
        /// The host.
        host: String,
        /// The model.
        repo: String,
        /// What was asked for.
        revision: String,
    },
    /// The model has no such file.
    #[error("{repo} on {host} has no file {path}")]
    NoFile {
        /// The host.
        host: String,
        /// The model.
        repo: String,
        /// Its path.
        path: String,
    },
    /// Its terms must be accepted first.
    #[error("{repo} is gated: {host} gives its files only to those who were granted access")]
    Gated {
        /// The host.
        host: String,
        /// The model.
        repo: String,
        /// Where access is asked for.
        page: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The token is not known.
    #[error("{host} does not accept the token{}", with(said))]
    BadToken {
        /// The host.
        host: String,
        /// What it said about it.
        said: String,
    },
    /// It is switched off.
    #[error("{host} has disabled {repo}{}", with(said))]
    Disabled {
        /// The host.
        host: String,
        /// The model.
        repo: String,
        /// What it said about it.
        said: String,
    },
    /// The Hub refuses, for another reason.
    #[error("{host} refuses to give {what} ({status}{})", with(said))]
    Refused {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// HTTP's number.
        status: u16,
        /// What it said about it.
        said: String,
    },
    /// It is given by another protocol only.
    #[error("{host} does not give {path} of {repo} by plain HTTP: it has {}, and files above 50 GB may need Xet", human_bytes(*bytes))]
    NeedsXet {
        /// The host.
        host: String,
        /// The model.
        repo: String,
        /// The file.
        path: String,
        /// Its bytes.
        bytes: u64,
    },
    /// What came is a page for people.
    #[error("{host} sent a web page in place of {what}")]
    Page {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
    },
    /// What the Hub says of a model makes no sense, or would do harm.
    #[error("what {host} says of {repo} cannot be used: {reason}")]
    Listing {
        /// The host.
        host: String,
        /// The model.
        repo: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It sent something else than it was asked for.
    #[error("{host} sent a wrong {path} of {repo}: {reason}")]
    WrongContent {
        /// The host.
        host: String,
        /// The model.
        repo: String,
        /// The file.
        path: String,
        /// What came.
        reason: String,
    },
    /// It is larger than what is read into memory.
    #[error("{path} of {repo} has {}, where at most {} are expected", human_bytes(*bytes), human_bytes(*limit))]
    TooLong {
        /// The model.
        repo: String,
        /// The file.
        path: String,
        /// Its bytes.
        bytes: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// There was no answer, or none that can be used.
    #[error(transparent)]
    Web(WebError),
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn with(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl From<WebError> for HubError {
    fn from(error: WebError) -> Self {
        match error {
            WebError::Io(error) => Self::Io(error),
            other => Self::Web(other),
        }
    }
}

/// Why a request to the Hub failed.
pub(super) type Fault = web::Fault<HubError>;

impl<E: Into<HubError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Final(error.into())
    }
}

impl From<web::Fault<WebError>> for Fault {
    fn from(fault: web::Fault<WebError>) -> Self {
        fault.map(HubError::from)
    }
}

impl Explain for HubError {
    fn code(&self) -> &'static str {
        match self {
            Self::Endpoint { .. } => "hub_endpoint",
            Self::Token { .. } => "hub_token",
            Self::Offline { .. } => "hub_offline",
            Self::NotFound { .. } => "model_not_found",
            Self::NoRevision { .. } => "revision_not_found",
            Self::NoFile { .. } => "model_file_not_found",
            Self::Gated { .. } => "model_gated",
            Self::BadToken { .. } => "hub_token_refused",
            Self::Disabled { .. } => "model_disabled",
            Self::Refused { .. } => "hub_refused",
            Self::NeedsXet { .. } => "hub_needs_xet",
            Self::Page { .. } => "hub_page",
            Self::Listing { .. } => "hub_listing",
            Self::WrongContent { .. } => "content_damaged",
            Self::TooLong { .. } => "model_file_too_long",
            Self::Web(error) => match error {
                WebError::Client { .. } => "hub_client",
                WebError::Certificate { .. } => "hub_certificate",
                WebError::NoTls { .. } => "hub_no_tls",
                WebError::Insecure { .. } => "hub_insecure",
                WebError::Protocol { .. } => "hub_protocol",
                WebError::Unreachable { .. } => "hub_unreachable",
                WebError::Limited { .. } => "hub_limited",
                WebError::Cancelled => "cancelled",
                WebError::Io(error) => error.code(),
            },
            Self::Io(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Offline { .. } => Some("unset HF_HUB_OFFLINE to let it be asked".into()),
            Self::NotFound { with_token: false, .. } => {
                Some("check the name; for a private model set HF_TOKEN or run `hf auth login`".into())
            }
            Self::NotFound { .. } => {
                Some("check the name, and that the token in HF_TOKEN may read it".into())
            }
            Self::NoRevision { .. } => {
                Some("its page lists branches and tags; `main` is the usual one".into())
            }
            Self::Gated { page, with_token: false, .. } => {
                Some(format!("accept its terms at {page}, then set HF_TOKEN or run `hf auth login`"))
            }
            Self::Gated { page, .. } => {
                Some(format!("ask for access at {page} with the account that the token belongs to"))
            }
            Self::BadToken { .. } => {
                Some("set HF_TOKEN to a valid token, or unset it (and remove `$HF_HOME/token`)".into())
            }
            Self::NeedsXet { .. } => Some("fetch it with `hf download`, and import the folder".into()),
            Self::Page { .. } => Some(
                "something between us and the Hub wants a login or refuses: check the proxy (HTTPS_PROXY)"
                    .into(),
            ),
            Self::WrongContent { .. } => Some(
                "try again; if it stays, something on the way changes files (a proxy or a mirror)".into(),
            ),
            Self::Web(error) => match error {
                WebError::Unreachable { .. } => Some(
                    "check the network, the proxy (HTTPS_PROXY, NO_PROXY) and HF_ENDPOINT, and try again"
                        .into(),
                ),
                WebError::Limited { .. } => {
                    Some("try again later, or with HF_TOKEN: known users may do more".into())
                }
                WebError::Certificate { .. } => Some(
                    "if the site has a certificate authority of its own, name its file in SSL_CERT_FILE"
                        .into(),
                ),
                WebError::Client { .. } => {
                    Some("check the proxy (HTTPS_PROXY) and the certificates (SSL_CERT_FILE)".into())
                }
                WebError::NoTls { host } => {
                    Some(format!("if it is to be reached by plain HTTP, set HF_ENDPOINT=http://{host}"))
                }
                _ => None,
            },
            Self::Io(error) => error.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Endpoint { .. } => Exit::Usage,
            Self::NotFound { .. } | Self::NoRevision { .. } | Self::NoFile { .. } => Exit::NotFound,
            Self::Gated { .. } | Self::BadToken { .. } | Self::Disabled { .. } => Exit::Permission,
            Self::Offline { .. } | Self::Page { .. } => Exit::Unreachable,
            Self::Refused { .. } | Self::NeedsXet { .. } => Exit::Failed,
            Self::Token { .. } | Self::Listing { .. } | Self::WrongContent { .. } | Self::TooLong { .. } => {
                Exit::Invalid
            }
            Self::Web(error) => match error {
                WebError::Client { .. }
                | WebError::Certificate { .. }
                | WebError::NoTls { .. }
                | WebError::Unreachable { .. } => Exit::Unreachable,
                WebError::Insecure { .. } | WebError::Protocol { .. } => Exit::Invalid,
                WebError::Limited { .. } => Exit::Busy,
                WebError::Cancelled => Exit::Failed,
                WebError::Io(error) => error.exit(),
            },
            Self::Io(error) => error.exit(),
        }
    }
}
