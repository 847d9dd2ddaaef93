//! Takes models of the user's own away.

use std::collections::BTreeSet;
use std::path::Path;

use bf_core::acquire::Places;
use bf_core::image::store::write_lock;
use bf_core::model::{Location, ModelId, Named, cache, store};
use bf_core::publish::Publisher;
use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, Locked, LockedModel, Part};
use serde::Serialize;

use super::used::users;
use super::{change, explained};
use crate::folder;
use crate::printer::Printer;

/// A model, or one of its revisions, that was removed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Removed {
    /// The model.
    pub(crate) repo: ModelId,
    /// The commit; nothing where all of it was removed.
    pub(crate) commit: Option<String>,
}

/// Removes them from the user's folder, or none if there is one that is not there or that a service needs. What was fetched of one that did
/// not come to its end goes with it.
pub(crate) fn remove(home_dir: &Path, models: &[Named], printer: Printer) -> Result<Vec<Removed>, Failure> {
    let missing = |named: &Named| {
        let message =
            format!("you have no model {named} of your own in {}", home_dir.join("models").display());
        Failure::new(Exit::NotFound, "model_not_found", message)
            .with_hint("`bf-user model ls` lists them, the shared cache's (`cache`) and yours (`home`)")
    };
    let Some(layout) = folder::own(home_dir)?.filter(|layout| layout.models().is_dir()) else {
        return models.first().map_or(Ok(Vec::new()), |named| Err(missing(named)));
    };
    // Before somebody waits for the lock, or makes one where there is nothing.
    for named in models {
        found(&layout, &Locked::load(&layout)?, named, &missing)?;
    }
    change(home_dir, printer, |publisher, locked| {
        let layout = publisher.layout();
        let mut removed = Vec::new();
        for named in models {
            let commit = found(layout, locked, named, &missing)?;
            let folder = store::folder(layout, &named.repo);
            let users = users(home_dir, &folder, &named.repo, commit.as_deref())?;
            if let Some(user) = users.first() {
                let message = format!("the service {user} runs from {named}");
                return Err(Failure::new(Exit::Busy, "model_in_use", message)
                    .with_hint(format!("stop it first: bf-user stop {user}")));
            }
            removed.push(Removed { repo: named.repo.clone(), commit });
        }
        for gone in &removed {
            take(publisher, locked, gone).map_err(explained)?;
        }
        Ok(removed)
    })
}

/// The commit of what is named; nothing where it is all of a model.
fn found(
    layout: &Layout,
    locked: &Locked,
    named: &Named,
    missing: &dyn Fn(&Named) -> Failure,
) -> Result<Option<String>, Failure> {
    let folder = store::folder(layout, &named.repo);
    let is_there = fs_err::symlink_metadata(&folder).is_ok();
    let is_begun = named.revision.is_none() && !Places::of(layout, &named.repo).downloads.is_empty();
    if !is_there && !is_begun {
        return Err(missing(named));
    }
    Ok(named.commit(layout, locked.models.get(&named.repo.to_string()))?)
}

fn take(publisher: &Publisher<'_>, locked: &mut Locked, gone: &Removed) -> Result<(), Failure> {
    let (layout, id) = (publisher.layout(), &gone.repo);
    let name = id.to_string();
    let folder = store::folder(layout, id);
    let is_last = || -> Result<bool, Failure> {
        let there = cache::repo_at(&folder, id, Location::Home)?;
        Ok(there
            .is_none_or(|there| there.revisions.iter().all(|own| Some(&own.commit) == gone.commit.as_ref())))
    };
    match &gone.commit {
        Some(commit) if !is_last()? => {
            store::remove_revision(publisher, id, commit, &BTreeSet::new())?;
            if let Some(own) = locked.models.remove(&name).and_then(|own| without(own, commit)) {
                locked.models.insert(name, own);
            }
        }
        _ => {
            store::remove_model(publisher, id)?;
            for left in Places::of(layout, id).downloads {
                publisher.remove(Part::Models, &left)?;
            }
            locked.models.remove(&name);
        }
    }
    write_lock(publisher, locked)
}

/// What the lock says of a model without one of its revisions; nothing where that was the one that counts, and nobody says which is next.
fn without(mut own: LockedModel, commit: &str) -> Option<LockedModel> {
    own.revisions.retain(|_, other| other.commit != commit);
    (own.commit != commit).then_some(own)
}
