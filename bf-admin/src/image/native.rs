//! Makes a SIF of a registry's image ourselves, and tells how far it is.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use bf_core::convert::{Found, Outline, Progress, Recipe, Teller, Told, processors};
use bf_core::report::Failure;
use bf_core::site::DeclaredRegistry;
use bf_core::squashfs::Compression;

use super::place::Place;
use super::{How, Tell};
use crate::space;

/// How we make them in a place.
pub(super) fn recipe(
    how: &How,
    compression: Compression,
    place: &Place<'_>,
    registry: DeclaredRegistry,
) -> Recipe {
    Recipe {
        environment: place.environment.clone(),
        registry,
        has_site: true,
        compression,
        threads: how.threads.unwrap_or_else(processors),
        bandwidth: how.bwlimit.unwrap_or_default(),
        tool: env!("CARGO_PKG_VERSION"),
    }
}

/// Makes the file `to` of what was found, and says what was fetched for it. `downloads` keeps that when it fails.
pub(super) fn make(
    recipe: &Recipe,
    found: &Found,
    to: &Path,
    downloads: &Path,
    tell: &Tell<'_>,
) -> Result<Outline, Failure> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let name = found.pinned.clone().unpinned();
    let fits = |needed| space::check(folder, needed, &format!("image {name}"));
    telling(tell, |teller| recipe.make(found, to, downloads, &fits, teller))
}

/// Does something that tells from threads of its own, and hands that on.
pub(super) fn telling<T>(tell: &Tell<'_>, work: impl FnOnce(&Teller) -> T) -> T {
    let (sender, told) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || listen(&told, tell));
        let teller: Teller = Arc::new(move |told| {
            // Who listens does so until the last one is gone.
            let _ = sender.send(told);
        });
        work(&teller)
    })
}

/// Tells what happens until nothing more can.
fn listen(told: &mpsc::Receiver<Told>, tell: &Tell<'_>) {
    for told in told {
        told.news().iter().for_each(tell.news);
    }
}

/// Tells how far the layers are of what is fetched from nowhere.
pub(super) fn layers(progress: Progress, tell: &Tell<'_>) {
    Told::Layers(progress).news().iter().for_each(tell.news);
}
