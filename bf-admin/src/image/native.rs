//! Makes a SIF of a registry's image ourselves: fetched, converted and compressed at once.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use bf_core::convert::{self, Order, Progress, Told};
use bf_core::image::{Digest, Reference};
use bf_core::registry::{Bandwidth, Event, Options};
use bf_core::report::{Failure, human_bytes};
use bf_core::settings::Environment;
use bf_core::site::DeclaredRegistry;
use bf_core::squashfs::Compression;

use super::maker::processors;
use super::place::Place;
use super::{How, Tell};
use crate::space;

/// How we make them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Native {
    /// Where credentials and proxies are looked up.
    pub(super) environment: Environment,
    /// How the image's registry is reached.
    pub(super) registry: DeclaredRegistry,
    /// How the root filesystem is compressed.
    pub(super) compression: Compression,
    /// Threads that compress.
    pub(super) threads: NonZeroUsize,
    /// Bytes per second; 0 is no limit.
    pub(super) bandwidth: u64,
}

impl Native {
    pub(super) fn new(
        how: &How,
        compression: Compression,
        place: &Place<'_>,
        registry: DeclaredRegistry,
    ) -> Self {
        Self {
            environment: place.environment.clone(),
            registry,
            compression,
            threads: how.threads.unwrap_or_else(processors),
            bandwidth: how.bwlimit.unwrap_or_default(),
        }
    }

    /// What a reference stands for in its registry now.
    pub(super) fn find(&self, reference: &Reference) -> Result<convert::Found, Failure> {
        convert::find(reference, &self.options()).map_err(|failure| hinted(failure, reference))
    }

    /// What of it would be fetched.
    pub(super) fn outline(
        &self,
        reference: &Reference,
        downloads: &[PathBuf],
    ) -> Result<convert::Outline, Failure> {
        let found = self.find(reference)?;
        convert::outline(&found, downloads, self.options()).map_err(|failure| hinted(failure, reference))
    }

    /// Makes the file `to` of what was found. `downloads` keeps what was fetched when it fails.
    pub(super) fn make(
        &self,
        found: &convert::Found,
        to: &Path,
        downloads: &Path,
        tell: &Tell<'_>,
    ) -> Result<(), Failure> {
        let file = &convert::create(to)?;
        let name = found.pinned.clone().unpinned();
        let order = Order {
            reference: &name,
            source: Some(&found.digest),
            compression: self.compression,
            threads: self.threads,
            tool: env!("CARGO_PKG_VERSION"),
        };
        let folder = to.parent().unwrap_or(Path::new("."));
        let fits = |needed| space::check(folder, needed, &format!("image {name}"));
        let (sender, told) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || listen(&told, tell));
            let tell: Arc<dyn Fn(Told) + Send + Sync> = Arc::new(move |told| {
                // Who listens does so until the last one is gone.
                let _ = sender.send(told);
            });
            convert::pull(found, file, downloads, &order, self.options(), &fits, &tell)
        })
        .map(drop)
        .map_err(|failure| hinted(failure, &name))
    }

    /// Makes `to` of an image on this machine's disks.
    pub(super) fn import(
        &self,
        path: &Path,
        wanted: Option<&str>,
        name: &Reference,
        to: &Path,
        tell: &Tell<'_>,
    ) -> Result<Option<Digest>, Failure> {
        let order = Order {
            reference: name,
            source: None,
            compression: self.compression,
            threads: self.threads,
            tool: env!("CARGO_PKG_VERSION"),
        };
        let file = convert::create(to)?;
        let made = convert::import(path, wanted, &file, &order, &|progress| layers(progress, tell))?;
        Ok(made.manifest)
    }

    fn options(&self) -> Options {
        let mut options = self.registry.options(&self.environment);
        options.bandwidth = Arc::new(Bandwidth::new(self.bandwidth));
        options
    }
}

/// What a site can say of a registry, which the library does not know: that it does not speak HTTPS, or who vouches for it.
pub(super) fn hinted(failure: Failure, reference: &Reference) -> Failure {
    if failure.code == "registry_certificate" {
        let host = reference.registry();
        let hint = format!(
            "if its certificate is of an authority of the site's, say so in site.yaml: `registries: {{\"{host}\": {{ca: /path/to/ca.pem}}}}`"
        );
        return failure.with_hint(hint);
    }
    if failure.code != "registry_no_tls" {
        return failure;
    }
    let host = reference.registry();
    let hint = format!(
        "if {host} is to be reached by plain HTTP, add --no-https, or `registries: {{\"{host}\": {{plain_http: true}}}}` to site.yaml"
    );
    failure.with_hint(hint)
}

/// Tells what happens until nothing more can.
fn listen(told: &mpsc::Receiver<Told>, tell: &Tell<'_>) {
    let mut blobs = std::collections::BTreeMap::new();
    for told in told {
        match told {
            Told::Found { digest, layers, bytes } => {
                (tell.total)(bytes);
                (tell.say)(&format!("{}: {} in {layers} layers", digest.short(), human_bytes(bytes)));
            }
            Told::Layers(progress) => layers(progress, tell),
            Told::Registry(event) => match event {
                Event::Started { digest, resumed_from, .. } => {
                    if resumed_from > 0 {
                        let (short, bytes) = (digest.short(), human_bytes(resumed_from));
                        (tell.say)(&format!("layer {short}: {bytes} of it are there already"));
                    }
                    blobs.insert(digest, resumed_from);
                }
                Event::Bytes { digest, done, .. } => {
                    blobs.insert(digest, done);
                    (tell.reach)(blobs.values().sum());
                }
                Event::Finished { digest, total } => {
                    blobs.insert(digest, total);
                    (tell.reach)(blobs.values().sum());
                }
                Event::Restarted { digest, reason } => {
                    (tell.say)(&format!("layer {} is fetched again: {reason}", digest.short()));
                }
                Event::Waiting { registry, wait, reason } => {
                    (tell.say)(&format!("waiting {} s for {registry}: {reason}", wait.as_secs().max(1)));
                }
                Event::Fallback { registry, reason } => {
                    (tell.say)(&format!("{registry} does not give it, the next one is asked: {reason}"));
                }
            },
        }
    }
}

fn layers(progress: Progress, tell: &Tell<'_>) {
    let Progress { layer, layers, bytes } = progress;
    if bytes == 0 {
        (tell.say)(&format!("converting layer {layer} of {layers}"));
    }
}
