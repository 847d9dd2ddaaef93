//! What `MODEL` and `MODEL@REV` of a command line mean in the shared cache.

use bf_core::model::ModelId;
use bf_core::report::{Exit, Failure};
use bf_core::site::Layout;

/// That the cache has nothing of a model.
pub(super) fn not_there(layout: &Layout, repo: &ModelId) -> Failure {
    let message = format!("the cache {} has no model {repo}", layout.root().display());
    Failure::new(Exit::NotFound, "model_not_found", message).with_hint("`bf-admin model ls` lists them")
}
