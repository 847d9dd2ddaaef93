//! `registries:` of site.yaml: how the registries of images are reached.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::forms::{ABSOLUTE, MIRROR};
use super::{rules, top};
use crate::registry::Options;
use crate::report::Failure;
use crate::settings::Environment;
use crate::shape::{self, Key, Map, Shape, View};
use crate::site::Layout;
use crate::spec::parse;

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
    /// The registries of a cache, by their hosts: those of its copy of site.yaml, which must be trusted; without one there are none.
    ///
    /// Of the file only this section is read, and not by who starts services: what a newer bf-admin declares of registries is a
    /// matter of who pulls an image.
    pub fn of_cache(layout: &Layout) -> Result<BTreeMap<String, Self>, Failure> {
        let parse = |text: &str, path: &Path| {
            let found = parse::parse(text, path, |reader, root| {
                shape::check(reader, root, &top::REGISTRIES);
                Some(read(View::of(root).map("registries")))
            });
            found.map(|(registries, _)| registries)
        };
        Ok(rules::of_cache(layout, parse)?.unwrap_or_default())
    }

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
    fn of_the_caches_copy_only_this_section_is_read_and_only_where_nobody_else_could_write_it() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(DeclaredRegistry::of_cache(&layout).unwrap(), BTreeMap::new());
        let text = "schema: 1\nnew: {key: 1}\npolicy: {new: 1}\nregistries: {ghcr.io: {mirrors: ['https://m.site']}}\n";
        fs_err::write(layout.site_yaml(), text).unwrap();
        let registries = DeclaredRegistry::of_cache(&layout).unwrap();
        assert_eq!(registries["ghcr.io"].mirrors, ["https://m.site"]);
        let open = PermissionsExt::from_mode(0o666);
        fs_err::set_permissions(layout.site_yaml(), open).unwrap();
        assert_eq!(DeclaredRegistry::of_cache(&layout).unwrap_err().code, "not_trusted");
        fs_err::remove_file(layout.site_yaml()).unwrap();
        fs_err::write(layout.site_yaml(), "schema: 1\nregistries: {ghcr.io: {new: 1}}\n").unwrap();
        assert_eq!(DeclaredRegistry::of_cache(&layout).unwrap_err().exit, crate::report::Exit::Invalid);
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
