//! How a program makes SIF files: of what registry, how compressed, with how many threads.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Found, Order, Outline, Progress, Teller, Told, create, find, import, outline, pull};
use crate::image::{Digest, Reference};
use crate::registry::{Bandwidth, Event, Options};
use crate::report::Failure;
use crate::settings::Environment;
use crate::site::DeclaredRegistry;
use crate::squashfs::Compression;

/// What is common to all images that are made in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Where credentials and proxies are looked up.
    pub environment: Environment,
    /// How the image's registry is reached.
    pub registry: DeclaredRegistry,
    /// Whether the program obeys `registries` of site.yaml, so that hints may name it.
    pub has_site: bool,
    /// How the root filesystem is compressed.
    pub compression: Compression,
    /// Threads that compress.
    pub threads: NonZeroUsize,
    /// Bytes per second that are fetched at most; 0 is no limit.
    pub bandwidth: u64,
    /// The version of the program.
    pub tool: &'static str,
}

impl Recipe {
    /// What a reference stands for in its registry now.
    pub fn find(&self, reference: &Reference, tell: &Teller) -> Result<Found, Failure> {
        find(reference, &self.options(tell)).map_err(|failure| hinted(failure, reference, self.has_site))
    }

    /// What of it would be fetched; see [`outline()`].
    pub fn outline(
        &self,
        reference: &Reference,
        downloads: &[PathBuf],
        tell: &Teller,
    ) -> Result<Outline, Failure> {
        let found = self.find(reference, tell)?;
        outline(&found, downloads, self.options(tell))
            .map_err(|failure| hinted(failure, reference, self.has_site))
    }

    /// Makes the file `to`, which must not exist, of what was found; see [`pull`]. Gives what was fetched for it, as [`Self::outline`]
    /// says it beforehand.
    pub fn make(
        &self,
        found: &Found,
        to: &Path,
        downloads: &Path,
        fits: &dyn Fn(u64) -> Result<(), Failure>,
        tell: &Teller,
    ) -> Result<Outline, Failure> {
        let file = create(to)?;
        let name = found.pinned.clone().unpinned();
        let order = self.order(&name, Some(&found.digest));
        let account = Arc::new(Mutex::new(Account::default()));
        let (listener, heard) = (Arc::clone(tell), Arc::clone(&account));
        let tell: Teller = Arc::new(move |told| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).take(&told);
            listener(told);
        });
        pull(found, &file, downloads, &order, self.options(&tell), fits, &tell)
            .map_err(|failure| hinted(failure, &name, self.has_site))?;
        let account = account.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(account.outline(&found.digest))
    }

    /// Makes the file `to`, which must not exist, of an image on this machine's disks; see [`import`]. Gives the digest of its manifest,
    /// if it has one.
    pub fn import(
        &self,
        path: &Path,
        wanted: Option<&str>,
        name: &Reference,
        to: &Path,
        tell: &dyn Fn(Progress),
    ) -> Result<Option<Digest>, Failure> {
        let file = create(to)?;
        Ok(import(path, wanted, &file, &self.order(name, None), tell)?.manifest)
    }

    fn order<'a>(&self, reference: &'a Reference, source: Option<&'a Digest>) -> Order<'a> {
        let Self { compression, threads, tool, .. } = *self;
        Order { reference, source, compression, threads, tool }
    }

    fn options(&self, tell: &Teller) -> Options {
        let mut options = self.registry.options(&self.environment);
        options.bandwidth = Arc::new(Bandwidth::new(self.bandwidth));
        let tell = Arc::clone(tell);
        options.progress = Arc::new(move |event| tell(Told::Registry(event)));
        options
    }
}

/// What is heard of an image while it is fetched.
#[derive(Debug, Default)]
struct Account {
    layers: usize,
    bytes: u64,
    /// Of each layer, how much was there when it was begun.
    there: BTreeMap<Digest, u64>,
}

impl Account {
    fn take(&mut self, told: &Told) {
        match told {
            Told::Found { layers, bytes, .. } => (self.layers, self.bytes) = (*layers, *bytes),
            Told::Registry(
                // Of one that was there whole nothing is heard before its end.
                Event::Started { digest, resumed_from: there, .. } | Event::Finished { digest, total: there },
            ) => drop(self.there.entry(digest.clone()).or_insert(*there)),
            Told::Registry(Event::Restarted { digest, .. }) => drop(self.there.insert(digest.clone(), 0)),
            Told::Registry(_) | Told::Layers(_) => {}
        }
    }

    fn outline(&self, digest: &Digest) -> Outline {
        let there = self.there.values().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        let Self { layers, bytes, .. } = *self;
        Outline { digest: digest.clone(), layers, bytes, there: there.min(bytes) }
    }
}

/// As many threads as this process may use.
pub fn processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// What a user, or with `has_site` a site, can say of a registry: that it does not speak HTTPS, or who vouches for it.
pub fn hinted(failure: Failure, reference: &Reference, has_site: bool) -> Failure {
    let host = reference.registry();
    if failure.code == "registry_certificate" && has_site {
        return failure.with_hint(format!(
            "if its certificate is of an authority of the site's, say so in site.yaml: `registries: {{\"{host}\": {{ca: /path/to/ca.pem}}}}`"
        ));
    }
    if failure.code != "registry_no_tls" {
        return failure;
    }
    let declare = if has_site {
        format!(", or `registries: {{\"{host}\": {{plain_http: true}}}}` to site.yaml")
    } else {
        String::new()
    };
    let hint = format!("if {host} is to be reached by plain HTTP, add --no-https{declare}");
    failure.with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Exit;

    #[test]
    fn what_was_there_is_not_counted_as_fetched() {
        let digest = |digit: &str| -> Digest { format!("sha256:{}", digit.repeat(64)).parse().unwrap() };
        let mut account = Account::default();
        let started = |layer, resumed_from| Event::Started { digest: digest(layer), total: 50, resumed_from };
        let finished = |layer| Event::Finished { digest: digest(layer), total: 50 };
        account.take(&Told::Found { digest: digest("f"), layers: 4, bytes: 200 });
        let restarted = Event::Restarted { digest: digest("c"), reason: "it is damaged".into() };
        // In part, wholly, in part and in vain, not at all.
        for event in [
            started("a", 20),
            finished("a"),
            finished("b"),
            started("c", 10),
            restarted,
            finished("c"),
            started("d", 0),
            finished("d"),
        ] {
            account.take(&Told::Registry(event));
        }
        let outline = account.outline(&digest("e"));
        assert_eq!((outline.layers, outline.bytes, outline.there), (4, 200, 70));
        assert_eq!((outline.rest(), outline.needs()), (130, 350));
    }

    #[test]
    fn hints_name_what_the_program_obeys() {
        let reference: Reference = "login:5000/org/name:1".parse().unwrap();
        let hint = |code: &'static str, has_site| {
            let failure = Failure::new(Exit::Unreachable, code, "no");
            hinted(failure, &reference, has_site).hint.unwrap_or_default()
        };
        let said = hint("registry_no_tls", true);
        assert!(said.contains("--no-https, or `registries: {\"login:5000\""), "{said}");
        let said = hint("registry_no_tls", false);
        assert!(said.ends_with("add --no-https"), "{said}");
        assert_eq!(hint("registry_protocol", true), "");
        assert!(hint("registry_certificate", true).contains("ca: /path/to/ca.pem"));
        assert_eq!(hint("registry_certificate", false), "");
    }
}
