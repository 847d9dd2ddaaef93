//! How the site wants the registries of images to be reached: `registries` of the shared cache's site.yaml.

use bf_core::image::Reference;
use bf_core::report::Failure;
use bf_core::settings::Settings;
use bf_core::site::{self, DeclaredRegistry};

use crate::printer::Printer;

/// How the registry of `reference` is reached. A file that cannot be read, or that others could have changed, is said and done without:
/// then the registry itself is asked, and by HTTPS.
pub(super) fn registry(settings: &Settings, reference: &Reference, printer: Printer) -> DeclaredRegistry {
    let Some(cache) = settings.cache_dir.as_deref() else { return DeclaredRegistry::default() };
    let declared = || -> Result<DeclaredRegistry, Failure> {
        // One that is not there has no rules; whoever needs it says so.
        let Ok(layout) = site::open(cache) else { return Ok(DeclaredRegistry::default()) };
        let mut registries = DeclaredRegistry::of_cache(&layout)?;
        Ok(registries.remove(reference.registry()).unwrap_or_default())
    };
    declared().unwrap_or_else(|failure| {
        printer.note(&format!("warning: the site's way to {} is not used: {failure}", reference.registry()));
        DeclaredRegistry::default()
    })
}
