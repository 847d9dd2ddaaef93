//! An image of a registry becomes one of the user's own, unless it is there.

use std::path::PathBuf;
use std::sync::Arc;

use bf_core::image::store::{self, Pulled, Wanted, sif_path};
use bf_core::image::{self, Digest, Reference};
use bf_core::progress::Display;
use bf_core::publish::{Publisher, clear_link};
use bf_core::report::{Exit, Failure};
use bf_core::settings::Settings;
use bf_core::site::{Layout, Locked, LockedImage, Part};
use serde::Serialize;

use super::maker::Maker;
use super::registries::registry;
use super::{How, change, own, sweep};
use crate::printer::Printer;

/// What became of an image, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// It was fetched.
    Pull,
    /// It is there already.
    Keep,
    /// The shared cache has it.
    Shared,
}

/// An image that was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Fetched {
    /// Its name, as `image ls` shows it.
    pub(crate) name: String,
    #[serde(rename = "ref")]
    pub(crate) reference: Reference,
    pub(crate) change: Change,
    /// What the reference stands for, where that is known.
    pub(crate) digest: Option<Digest>,
    /// The file; none for one that was not fetched yet.
    pub(crate) path: Option<PathBuf>,
    /// The file's length.
    pub(crate) size_bytes: Option<u64>,
}

/// Fetches an image into the user's folder. With `force` also one that is there.
pub(crate) fn pull(
    settings: &Settings,
    reference: &Reference,
    how: &How,
    (force, dry_run): (bool, bool),
    printer: Printer,
) -> Result<Fetched, Failure> {
    let home_dir = settings.home_dir.as_path();
    if dry_run {
        let layout = own(home_dir)?;
        let locked = layout.as_ref().map_or_else(|| Ok(Locked::default()), Locked::load)?;
        let layout = layout.unwrap_or_else(|| Layout::new(home_dir));
        if let Some(there) = there(&layout, &locked, reference, force)? {
            return Ok(there);
        }
        let display = display(reference, how, printer);
        let maker = Maker::find(reference, how, registry(settings, reference, printer), &display)?;
        return Ok(Fetched {
            name: name(reference),
            reference: reference.clone(),
            change: Change::Pull,
            digest: Some(maker.digest().clone()),
            path: None,
            size_bytes: None,
        });
    }
    change(home_dir, printer, |publisher, locked| {
        // Somebody else may have fetched it while we waited for the lock.
        if let Some(there) = there(publisher.layout(), locked, reference, force)? {
            return Ok(there);
        }
        let registry = registry(settings, reference, printer);
        let display = display(reference, how, printer);
        let image =
            fetch(publisher, locked, reference, force, || Maker::find(reference, how, registry, &display));
        match &image {
            Ok(_) => display.finish(0),
            Err(failure) => display.fail(0, &failure.message),
        }
        drop(display);
        let image = image?;
        // The image is there all the same, and the next run looks again.
        if let Err(failure) = sweep(publisher, locked, home_dir) {
            printer.note(&format!("warning: what images had no name any more stays: {failure}"));
        }
        Ok(Fetched {
            name: name(reference),
            reference: reference.clone(),
            change: Change::Pull,
            digest: image.digest.clone(),
            path: Some(publisher.layout().image_store().join(image.store_name())),
            size_bytes: Some(image.bytes),
        })
    })
}

/// What shows how far it is.
fn display(reference: &Reference, how: &How, printer: Printer) -> Arc<Display> {
    let display = how.progress.display(printer);
    display.expect(1);
    display.start(0, ("image", &name(reference)), None, "pulling");
    display
}

/// What the image is called: as its file, without the ending.
fn name(reference: &Reference) -> String {
    let file = reference.sif_name();
    file.strip_suffix(".sif").unwrap_or(&file).to_owned()
}

/// The image, if it is there, whole as far as its length says, and not to be fetched again.
///
/// # Errors
/// Its file is that of another image, or something else is in its place.
fn there(
    layout: &Layout,
    locked: &Locked,
    reference: &Reference,
    force: bool,
) -> Result<Option<Fetched>, Failure> {
    let sif = sif_path(reference);
    let place = |own: &Reference| (own.registry().to_owned(), own.repository().to_owned());
    let taken = locked.images.iter().find_map(|(name, own)| {
        let other = own.reference.as_ref()?;
        (own.sif == sif && place(other) != place(reference)).then_some((name, other))
    });
    if let Some((name, other)) = taken {
        let message = format!("{sif} is the file of your image {name} already, {other}");
        return Err(Failure::new(Exit::Invalid, "image_name_taken", message)
            .with_hint(format!("`bf-user image rm {name}` makes room for it")));
    }
    if !force {
        // What is damaged, or leads nowhere, is fetched again.
        if let Ok(Some(found)) = image::find_reference(layout, locked, reference) {
            let own = locked.images.get(&found.name);
            if own.is_none_or(|own| own.bytes == found.header.bytes) {
                return Ok(Some(Fetched {
                    name: found.name,
                    reference: reference.clone(),
                    change: Change::Keep,
                    digest: own.and_then(|own| own.digest.clone()),
                    path: Some(found.path),
                    size_bytes: Some(found.header.bytes),
                }));
            }
        }
    }
    clear_link(&layout.root().join(sif))?;
    Ok(None)
}

/// Fetches it. What was fetched stays when it fails, for the next run.
fn fetch(
    publisher: &Publisher<'_>,
    locked: &mut Locked,
    reference: &Reference,
    force: bool,
    find: impl FnOnce() -> Result<Maker, Failure>,
) -> Result<LockedImage, Failure> {
    let (name, layout) = (name(reference), publisher.layout());
    let maker = find()?;
    // A file of the right content whose link is gone is found to be whole when it is published.
    let is_whole = |own: &&LockedImage| {
        own.whole().is_some_and(|own| own.serves(reference))
            && image::find_reference(layout, locked, reference).is_ok_and(|found| found.is_some())
    };
    let own = locked.images.get(&name).filter(|_| !force).filter(is_whole);
    let downloads = publisher.downloads(Part::Images, &reference.sif_name())?;
    let stage = publisher.stage(Part::Images)?;
    let wanted = Wanted { reference, sif: None, own };
    let image = match store::pull(&wanted, &maker, stage.path(), downloads.path())? {
        Pulled::Made(image) => store::publish(publisher, locked, stage.path(), image)?.image,
        Pulled::Same(image) => {
            store::link(publisher, &image)?;
            image
        }
    };
    store::enter(locked, name, image.clone());
    store::write_lock(publisher, locked)?;
    drop(stage);
    // What cannot be removed is no reason to say that the image is not there: the next run takes it over.
    let _ = downloads.remove();
    Ok(image)
}
