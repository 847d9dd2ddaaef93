//! Why a registry did not give what was asked for.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::host::CommandError;
use crate::image::Digest;
use crate::oci::OciError;
use crate::report::{Exit, Explain};
use crate::web::{self, WebError};

/// What can go wrong. No variant holds a password, a token, or an address with a signature in it.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// The name of a registry or mirror is no address.
    #[error("{text:?} is no address of a registry: {reason}")]
    Address {
        /// What was given, without a name and password.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There can be no connections at all.
    #[error("no connection to {registry} can be made: {reason}")]
    Client {
        /// The host.
        registry: String,
        /// Why.
        reason: String,
    },
    /// A file with credentials cannot be used.
    #[error("the credentials in {} cannot be read: {reason}", path.display())]
    CredentialFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The program that keeps credentials does not give them.
    #[error("{program} gives no credentials for {registry}: {reason}")]
    Helper {
        /// `docker-credential-NAME`.
        program: String,
        /// The host.
        registry: String,
        /// Why.
        reason: String,
    },
    /// The program that keeps credentials did not do its work.
    #[error(transparent)]
    HelperFailed(#[from] CommandError),
    /// The registry does not let us.
    #[error("{registry} does not let us read {repository} ({status}{})", with(said))]
    Denied {
        /// The host.
        registry: String,
        /// The name on it.
        repository: String,
        /// HTTP's number.
        status: u16,
        /// What it said about it.
        said: String,
        /// Whether a name and password were given.
        with_credentials: bool,
    },
    /// Where it sends us to does not let us, and is not told who we are.
    #[error("{place}, where {registry} sends us to, refuses to give {what} ({status}{})", with(said))]
    DeniedElsewhere {
        /// The host that was asked.
        registry: String,
        /// Where it sent us: host and port, without anything that could be a secret.
        place: String,
        /// What was asked for.
        what: String,
        /// HTTP's number.
        status: u16,
        /// What it said about it.
        said: String,
    },
    /// It does not have it.
    #[error("{registry} has no {what}")]
    NotFound {
        /// The host.
        registry: String,
        /// `org/name:tag`, or `blob sha256:... of org/name`.
        what: String,
    },
    /// It refuses, for another reason.
    #[error("{registry} refuses to give {what} ({status}{})", with(said))]
    Refused {
        /// The host.
        registry: String,
        /// What was asked for.
        what: String,
        /// HTTP's number.
        status: u16,
        /// What it said about it.
        said: String,
    },
    /// It cannot be reached, or not well enough.
    #[error("{registry} did not give {what}: {reason} ({tries} tries without progress)")]
    Unreachable {
        /// The host.
        registry: String,
        /// What was asked for.
        what: String,
        /// What went wrong at last.
        reason: String,
        /// How often it was tried.
        tries: u32,
    },
    /// We asked it too often.
    #[error("{registry} limits how often it is asked, and did not give {what} after {} seconds of waiting", waited.as_secs())]
    Limited {
        /// The host.
        registry: String,
        /// What was asked for.
        what: String,
        /// How long we waited.
        waited: Duration,
    },
    /// Its certificate is not believed.
    #[error("{registry} is not trusted: {reason}")]
    Certificate {
        /// The host.
        registry: String,
        /// Why.
        reason: String,
    },
    /// What answers does not speak TLS.
    #[error("{registry} does not speak HTTPS")]
    NoTls {
        /// The host.
        registry: String,
    },
    /// It sends us to where we do not go.
    #[error("{registry} sends us to where we do not go: {reason}")]
    Insecure {
        /// The host.
        registry: String,
        /// Where, without anything that could be a secret.
        reason: String,
    },
    /// An answer of it makes no sense.
    #[error("{registry} gave an answer that cannot be understood: {reason}")]
    Protocol {
        /// The host.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It sent something else than it was asked for.
    #[error("{registry} sent a wrong {digest} of {repository}: {reason}")]
    WrongContent {
        /// The host.
        registry: String,
        /// The name on it.
        repository: String,
        /// What was asked for.
        digest: Digest,
        /// What came.
        reason: String,
    },
    /// Another process loads it into the same folder.
    #[error("another process is writing {}", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The blob is none of those that are fetched.
    #[error("{digest} is not among what is fetched")]
    NotFetched {
        /// The blob.
        digest: Digest,
    },
    /// The caller gave up.
    #[error("given up")]
    Cancelled,
    /// What came is no image that can be used.
    #[error(transparent)]
    Image(#[from] OciError),
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn with(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl From<WebError> for RegistryError {
    fn from(error: WebError) -> Self {
        match error {
            WebError::Client { host, reason } => Self::Client { registry: host, reason },
            WebError::Certificate { host, reason } => Self::Certificate { registry: host, reason },
            WebError::NoTls { host } => Self::NoTls { registry: host },
            WebError::Insecure { host, reason } => Self::Insecure { registry: host, reason },
            WebError::Protocol { host, reason } => Self::Protocol { registry: host, reason },
            WebError::Unreachable { host, what, reason, tries } => {
                Self::Unreachable { registry: host, what, reason, tries }
            }
            WebError::Limited { host, what, waited } => Self::Limited { registry: host, what, waited },
            WebError::Cancelled => Self::Cancelled,
            WebError::Io(error) => Self::Io(error),
        }
    }
}

/// Why a request to a registry failed.
pub(super) type Fault = web::Fault<RegistryError>;

impl<E: Into<RegistryError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Final(error.into())
    }
}

impl From<web::Fault<WebError>> for Fault {
    fn from(fault: web::Fault<WebError>) -> Self {
        fault.map(RegistryError::from)
    }
}

impl Explain for RegistryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "registry_address",
            Self::Client { .. } => "registry_client",
            Self::CredentialFile { .. } | Self::Helper { .. } => "registry_credentials",
            Self::HelperFailed(error) => error.code(),
            Self::Denied { .. } => "registry_denied",
            Self::DeniedElsewhere { .. } => "registry_denied_elsewhere",
            Self::NotFound { .. } => "image_not_found",
            Self::Refused { .. } => "registry_refused",
            Self::Unreachable { .. } => "registry_unreachable",
            Self::Limited { .. } => "registry_limited",
            Self::Certificate { .. } => "registry_certificate",
            Self::NoTls { .. } => "registry_no_tls",
            Self::Insecure { .. } => "registry_insecure",
            Self::Protocol { .. } => "registry_protocol",
            Self::WrongContent { .. } => "content_damaged",
            Self::Busy { .. } => "blob_busy",
            Self::NotFetched { .. } => "blob_not_fetched",
            Self::Cancelled => "cancelled",
            Self::Image(error) => error.code(),
            Self::Io(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Denied { with_credentials: false, .. } => Some(
                "it does not exist, or needs a login: `docker login` or `podman login`, or set APPTAINER_DOCKER_USERNAME \
                 and APPTAINER_DOCKER_PASSWORD"
                    .into(),
            ),
            Self::Denied { .. } => Some("it does not exist, or the name and password that were given do not open it".into()),
            Self::NotFound { .. } => Some("check the name and the tag".into()),
            Self::Unreachable { .. } => Some("check the network and the proxy (HTTPS_PROXY, NO_PROXY), and try again".into()),
            Self::Limited { .. } => Some("try again later, or log in: registries let known users do more".into()),
            Self::DeniedElsewhere { registry, .. } => Some(format!(
                "a login is sent to {registry} alone, never to where it redirects; its administrators can say what is wrong there"
            )),
            Self::Certificate { .. } => {
                Some("if the site has a certificate authority of its own, name its file as `ca` of that registry in site.yaml, or in SSL_CERT_FILE".into())
            }
            Self::Client { .. } => Some("check the proxy (HTTPS_PROXY) and the certificates (SSL_CERT_FILE)".into()),
            Self::Helper { program, .. } => Some(format!("try it: `{program} list`")),
            Self::Busy { .. } => Some("wait until it has ended".into()),
            Self::HelperFailed(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Io(error) => error.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Address { .. } => Exit::Usage,
            Self::Denied { .. } | Self::DeniedElsewhere { .. } => Exit::Permission,
            Self::NotFound { .. } => Exit::NotFound,
            Self::Unreachable { .. }
            | Self::Client { .. }
            | Self::Certificate { .. }
            | Self::NoTls { .. } => Exit::Unreachable,
            Self::Limited { .. } | Self::Busy { .. } => Exit::Busy,
            Self::Refused { .. } | Self::Cancelled | Self::NotFetched { .. } => Exit::Failed,
            Self::CredentialFile { .. }
            | Self::Helper { .. }
            | Self::Insecure { .. }
            | Self::Protocol { .. }
            | Self::WrongContent { .. } => Exit::Invalid,
            Self::HelperFailed(error) => error.exit(),
            Self::Image(error) => error.exit(),
            Self::Io(error) => error.exit(),
        }
    }
}
