//! How the Hub is talked to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Endpoint, HubError, Progress, silent, token};
use crate::settings::Environment;
use crate::web::{Bandwidth, Cancel, Limits, Secret};

/// What a caller decides.
#[derive(Clone)]
pub struct Options {
    /// Where the Hub is.
    pub endpoint: Endpoint,
    /// Who we are. Sent to the endpoint's scheme, host and port only.
    pub token: Option<Secret>,
    /// Whether nothing may be asked at all.
    pub offline: bool,
    /// Files with certificate authorities (PEM) that are believed besides the machine's.
    pub authorities: Vec<PathBuf>,
    /// Where proxies are looked up.
    pub environment: Environment,
    /// Time and number limits.
    pub limits: Limits,
    /// The smallest part of a file that is asked for by itself, in bytes: files of four such parts or more are fetched over
    /// several connections when there are some to spare.
    pub part: u64,
    /// Bytes per second, over all connections that share it.
    pub bandwidth: Arc<Bandwidth>,
    /// Who is told what happens.
    pub progress: Progress,
    /// Ends everything.
    pub cancel: Cancel,
}

impl Options {
    /// What the environment says, by the names of the Hub's own clients: `HF_ENDPOINT`, `HF_HUB_OFFLINE` (`TRANSFORMERS_OFFLINE`),
    /// and a token from `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file of `HF_TOKEN_PATH`, `$HF_HOME/token` or
    /// `$XDG_CACHE_HOME/huggingface/token`, in this order, unless `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set. No limit of bandwidth,
    /// nobody told.
    ///
    /// # Errors
    /// [`HubError::Endpoint`], and [`HubError::Token`] if there is a token that cannot be used.
    pub fn new(environment: Environment) -> Result<Self, HubError> {
        let endpoint = environment.get("HF_ENDPOINT").map_or_else(Endpoint::usual, Endpoint::parse)?;
        let offline = environment.get("HF_HUB_OFFLINE").or_else(|| environment.get("TRANSFORMERS_OFFLINE"));
        Ok(Self {
            endpoint,
            token: token::find(&environment)?,
            offline: offline.is_some_and(is_true),
            authorities: Vec::new(),
            limits: Limits {
                connect: Duration::from_secs(10),
                stall: Duration::from_secs(30),
                at_once: 8,
                ..Limits::default()
            },
            environment,
            part: 8 * 1024 * 1024,
            bandwidth: Arc::new(Bandwidth::new(0)),
            progress: silent(),
            cancel: Cancel::default(),
        })
    }
}

/// What the Hub's clients take for a yes.
pub(super) fn is_true(text: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
}
