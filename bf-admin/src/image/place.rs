//! What a site says of how its images are made: its registries, and the compression that its machines are known to mount.

use std::collections::BTreeMap;

use bf_core::image::Reference;
use bf_core::report::Failure;
use bf_core::settings::Environment;
use bf_core::site::{Declared, DeclaredRegistry, Layout};
use bf_core::slurm::Slurm;
use bf_core::squashfs::Compression;

use super::probes::{Probes, UNTRIED, UNTRIED_ON_NODES};

/// What every machine that runs containers can read.
const EVERYWHERE: Compression = Compression::GZIP;
/// What is read several times faster, where it can be.
const FAST: Compression = Compression::ZSTD;

/// Where images are made.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    /// Where credentials and proxies are looked up.
    pub(crate) environment: &'a Environment,
    registries: BTreeMap<String, DeclaredRegistry>,
    plain_http: bool,
    probes: Result<Option<Probes>, Failure>,
}

impl<'a> Place<'a> {
    /// For a cache and what is declared of it.
    pub(crate) fn of(layout: &Layout, declared: Option<&Declared>, environment: &'a Environment) -> Self {
        let registries = declared.map(|declared| declared.registries.clone()).unwrap_or_default();
        Self { environment, registries, plain_http: false, probes: Probes::load(layout) }
    }

    /// Where nothing is known.
    pub(crate) fn unknown(environment: &'a Environment) -> Self {
        Self { environment, registries: BTreeMap::new(), plain_http: false, probes: Ok(None) }
    }

    /// How the registry of an image is reached.
    pub(crate) fn registry(&self, reference: &Reference) -> DeclaredRegistry {
        let mut registry = self.registries.get(reference.registry()).cloned().unwrap_or_default();
        registry.plain_http |= self.plain_http;
        registry
    }

    /// With all registries by plain HTTP, if that is asked for.
    #[must_use]
    pub(crate) fn without_https(mut self, plain_http: bool) -> Self {
        self.plain_http |= plain_http;
        self
    }

    /// How an image is compressed of which nobody says it, and why it is not the fast way.
    pub(crate) fn compression(&self) -> (Compression, Option<String>) {
        let has_slurm = Slurm::find(self.environment).is_some();
        let against = match &self.probes {
            Ok(probes) => match probes.as_ref().and_then(|probes| probes.zstd.as_ref()) {
                Some(tried) => tried.against(has_slurm),
                None if has_slurm => Some(UNTRIED_ON_NODES.to_owned()),
                None => Some(UNTRIED.to_owned()),
            },
            Err(failure) => Some(failure.message.clone()),
        };
        match against {
            None => (FAST, None),
            Some(why) => (EVERYWHERE, Some(format!("gzip: {why}"))),
        }
    }
}
