//! Which of the user's services need a model: as long as they live, and wait for their turn.

use std::path::Path;

use bf_core::model::ModelId;
use bf_core::report::Failure;

use crate::commands::block_on;
use crate::job::JobDir;
use crate::status::Scene;
use crate::store::Store;
use crate::view::ServiceView;

/// The names of the services that run from the model's folder in the user's own models, of this commit or of any.
pub(super) fn users(
    home_dir: &Path,
    folder: &Path,
    id: &ModelId,
    commit: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let store = Store::open(home_dir)?;
    let scene = Scene::of(home_dir);
    let mut users = Vec::new();
    for record in store.all()? {
        let (dir, name) = (JobDir::of(home_dir, &record.id), record.name.clone());
        let (_, status) = block_on(ServiceView::of(record, &store, &scene, false))?;
        if !status.state.is_live() {
            continue;
        }
        let model = dir.job()?.model;
        let is_it = model.repo == id.to_string() && commit.is_none_or(|commit| model.revision == commit);
        // One of the shared cache has the same name.
        if is_it && fs_err::canonicalize(&model.snapshot).is_ok_and(|path| path.starts_with(folder)) {
            users.push(name);
        }
    }
    Ok(users)
}
