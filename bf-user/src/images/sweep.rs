//! Removes files of the user's own images that have no name any more, once no service of his can run from them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use bf_core::publish::Publisher;
use bf_core::report::Failure;
use bf_core::site::{Locked, LockedImage, Part};

use crate::commands::block_on;
use crate::job::JobDir;
use crate::status::Scene;
use crate::store::Store;
use crate::view::ServiceView;

/// Removes them. Gives those that stay because a service needs them, which the next pull or removal looks at again.
pub(crate) fn sweep(
    publisher: &Publisher<'_>,
    locked: &Locked,
    home_dir: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    let store = publisher.layout().image_store();
    let named: BTreeSet<String> = locked.images.values().map(LockedImage::store_name).collect();
    let mut nameless = Vec::new();
    let entries = match fs_err::read_dir(&store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(nameless),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| named.contains(name)) {
            nameless.push(entry.path());
        }
    }
    if nameless.is_empty() {
        return Ok(nameless);
    }
    let used = used(home_dir)?;
    let (kept, gone): (Vec<_>, Vec<_>) = nameless.into_iter().partition(|path| used.contains(path));
    for path in gone {
        publisher.remove(Part::Images, &path)?;
    }
    Ok(kept)
}

/// Images of services that have not ended.
fn used(home_dir: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let store = Store::open(home_dir)?;
    let scene = Scene::of(home_dir);
    let mut used = BTreeSet::new();
    for record in store.all()? {
        let dir = JobDir::of(home_dir, &record.id);
        let (_, status) = block_on(ServiceView::of(record, &store, &scene, false))?;
        if status.state.is_live()
            && let Some(image) = dir.job()?.engine.image
        {
            used.insert(image.sif);
        }
    }
    Ok(used)
}
