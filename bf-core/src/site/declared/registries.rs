//! `registries:` of site.yaml: how the registries of images are reached.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::forms::{ABSOLUTE, MIRROR};
use crate::registry::Options;
use crate::settings::Environment;
use crate::shape::{Key, Map, Shape, View};

/// How one registry is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredRegistry {
    /// Addresses that are asked before it, in this order.
    pub mirrors: Vec<String>,
    /// Whether it is reached by plain HTTP.
    pub plain_http: bool,
    /// A file with certificate authorities (PEM) that are believed besides the machine's.
    pub ca: Option<PathBuf>,
}

impl DeclaredRegistry {
    /// Options for its client, with no limits of bandwidth and nobody told.
    pub fn options(&self, environment: &Environment) -> Options {
        let mut options = Options::new(environment.clone());
        options.https = !self.plain_http;
        options.mirrors.clone_from(&self.mirrors);
        options.authorities = self.ca.iter().cloned().collect();
        options
    }
}

pub(super) static MAP: Map = Map::of(
    "a registry",
    &[
        Key::new(
            "mirrors",
            Shape::List(&Shape::Format(&MIRROR)),
            "Addresses that are asked before the registry, in this order; `http://` allows plain HTTP for that mirror",
        ),
        Key::new("plain_http", Shape::Bool, "Whether it is reached by plain HTTP, as with `--no-https`")
            .or("false"),
        // The cache's copy of the file is read as well, beside which there are no files of the site's.
        Key::new(
            "ca",
            Shape::Format(&ABSOLUTE),
            "A file with certificate authorities (PEM) that are believed besides the machine's",
        ),
    ],
);

pub(super) fn read(view: View<'_>) -> BTreeMap<String, DeclaredRegistry> {
    let registry = |view: View<'_>| DeclaredRegistry {
        mirrors: view.texts("mirrors"),
        plain_http: view.bool("plain_http").unwrap_or_default(),
        ca: view.text("ca").map(PathBuf::from),
    };
    view.entries().iter().map(|entry| (entry.key.clone(), registry(View::of(&entry.value)))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::site::Declared;

    fn found(registries: &str) -> Result<BTreeMap<String, DeclaredRegistry>, Vec<String>> {
        let text = format!("schema: 1\ncache_dir: /c\nregistries:\n{registries}");
        let parsed = Declared::parse(&text, Path::new("/s/site.yaml"));
        let shown = |finding: &crate::report::Finding| format!("{} {}", finding.line.unwrap(), finding.code);
        parsed
            .map(|(declared, _)| declared.registries)
            .map_err(|findings| findings.iter().map(shown).collect())
    }

    #[test]
    fn a_registry_has_mirrors_and_a_way() {
        let registries = found(
            "  docker.io: {mirrors: [\"https://harbor.site/docker-proxy\", \"http://mirror:5000\"], ca: /etc/site/ca.pem}\n  \
             'login:5000': {plain_http: true}\n  localhost:\n  ghcr.io: {}\n",
        )
        .unwrap();
        let options = registries["docker.io"].options(&Environment::default());
        assert!(options.https);
        assert_eq!(options.mirrors, ["https://harbor.site/docker-proxy", "http://mirror:5000"]);
        assert_eq!(options.authorities, [Path::new("/etc/site/ca.pem")]);
        assert!(!registries["login:5000"].options(&Environment::default()).https);
        assert_eq!(registries["localhost"], DeclaredRegistry::default());
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        for (registries, expected) in [
            ("  docker: {plain_http: true}\n", "4 invalid_registry"),
            ("  ghcr.io/org: {plain_http: true}\n", "4 invalid_registry"),
            ("  https://ghcr.io: {}\n", "4 invalid_registry"),
            ("  GHCR.io: {}\n", "4 invalid_registry"),
            ("  ghcr.io: {mirrors: [mirror.site]}\n", "4 invalid_url"),
            ("  ghcr.io: {mirrors: ['ftp://mirror.site']}\n", "4 invalid_url"),
            ("  ghcr.io: {mirrors: ['https://me:secret@mirror.site']}\n", "4 invalid_url"),
            ("  ghcr.io: {mirrors: ['https://mirror.site/a?b']}\n", "4 invalid_url"),
            ("  ghcr.io: {mirrors: ['https://']}\n", "4 invalid_url"),
            ("  ghcr.io: {ca: ca.pem}\n", "4 not_absolute"),
            ("  ghcr.io: {insecure: true}\n", "4 unknown_key"),
        ] {
            assert_eq!(found(registries).unwrap_err(), [expected], "{registries}");
        }
    }
}
