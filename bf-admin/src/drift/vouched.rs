//! What somebody else owns and site.lock knows the bytes of: it may be given to the owner of the cache if it has them.

use std::path::Path;

use bf_core::bounded::{self, Links};
use bf_core::digest;
use bf_core::model::ModelId;
use bf_core::model::store;
use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, Locked};

/// Whether the file at `path` is what was published; folders and links have no bytes.
///
/// # Errors
/// [`Exit::Invalid`]: it has other bytes, or site.lock does not say which.
pub(super) fn check(layout: &Layout, path: &Path) -> Result<(), Failure> {
    if !fs_err::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    let locked = Locked::load(layout)?;
    let is_right = match digest_of(layout, &locked, path) {
        Some(sha256) => {
            let mut file = bounded::open(path, Links::Refuse)?;
            digest::copy(&mut file, &mut std::io::sink())?.0 == sha256
        }
        None => is_ref(layout, &locked, path),
    };
    if is_right {
        return Ok(());
    }
    let message = format!(
        "{} belongs to somebody else and has not the bytes of site.lock: it is not given to the owner of the cache",
        path.display()
    );
    Err(Failure::new(Exit::Invalid, "not_trusted", message)
        .with_hint("`bf-admin setup --full` puts what was declared in its place"))
}

fn digest_of(layout: &Layout, locked: &Locked, path: &Path) -> Option<String> {
    let is = |below: &Path| path == below;
    let toolkit = locked.toolkit.iter().flat_map(|own| &own.files);
    let mut toolkit = toolkit.filter(|file| is(&layout.root().join(&file.path)));
    let mut images = locked.images.values().filter(|own| is(&layout.image_store().join(own.store_name())));
    let mut engines = locked.engines.iter().flat_map(|(id, own)| {
        let folder = layout.engine(id, &own.version);
        own.files.iter().filter(move |file| path == folder.join(&file.path))
    });
    let mut blobs = locked.models.iter().flat_map(|(name, own)| {
        let folder = ModelId::parse_stored(name).ok().map(|id| layout.models().join(id.folder_name()));
        own.all().flat_map(|own| own.files).filter(move |file| {
            folder.as_ref().is_some_and(|at| path == at.join("blobs").join(file.blob_name()))
        })
    });
    let files = toolkit.next().or_else(|| engines.next()).or_else(|| blobs.next());
    files.map(|file| file.sha256.clone()).or_else(|| images.next().map(|own| own.sha256.clone()))
}

/// Whether it is a name of a revision that site.lock has.
fn is_ref(layout: &Layout, locked: &Locked, path: &Path) -> bool {
    locked.models.iter().any(|(name, own)| {
        let Ok(id) = ModelId::parse_stored(name) else { return false };
        let refs = store::folder(layout, &id).join("refs");
        let is_of = |(name, commit): (&str, &str)| path == refs.join(name) && store::leads_to(path, commit);
        own.refs().any(is_of)
    })
}
