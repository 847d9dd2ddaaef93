//! How a registry is talked to.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Bandwidth, Cancel, Limits, Progress, silent};
use crate::settings::Environment;

/// What a caller decides.
#[derive(Clone)]
pub struct Options {
    /// Whether the registry speaks TLS. Without it names, passwords and tags can be read and changed by anyone on the way.
    pub https: bool,
    /// Addresses that are asked before the registry, such as `https://mirror.site` or `https://harbor.site/docker-proxy`: the path
    /// goes in front of the repository's name. `http://` says that plain HTTP is allowed for it.
    pub mirrors: Vec<String>,
    /// Files with certificate authorities (PEM) that are believed besides the machine's.
    pub authorities: Vec<PathBuf>,
    /// Where credentials and proxies are looked up.
    pub environment: Environment,
    /// Time and number limits.
    pub limits: Limits,
    /// Bytes per second, over all connections that share it.
    pub bandwidth: Arc<Bandwidth>,
    /// Who is told what happens.
    pub progress: Progress,
    /// Ends everything.
    pub cancel: Cancel,
}

impl Options {
    /// https, no mirrors, no limit of bandwidth, nobody told.
    pub fn new(environment: Environment) -> Self {
        Self {
            https: true,
            mirrors: Vec::new(),
            authorities: Vec::new(),
            environment,
            limits: Limits::default(),
            bandwidth: Arc::new(Bandwidth::new(0)),
            progress: silent(),
            cancel: Cancel::default(),
        }
    }
}
