//! What is to be done with a declared model.

use bf_core::model::Revision;
use bf_core::site::{DeclaredModel, LockedModel, RevisionOf};

use super::{Change, Step, Task};
use crate::import::{Download, NewModel, Source};
use crate::present::{Disk, ModelFacts, SourceFacts};

const KIND: &str = "model";

pub(super) fn step(wanted: &DeclaredModel, own: Option<&LockedModel>, facts: &ModelFacts) -> Step {
    let name = wanted.repo.to_string();
    let new = |source| NewModel {
        repo: wanted.repo.clone(),
        source,
        readers: facts.readers.clone(),
        revision: wanted.revision.as_ref().map(Revision::to_string),
        declared: true,
    };
    let commit = own.map(|own| own.commit.as_str());
    match &facts.source {
        Some(Err(failure)) => Step::fail(KIND, name, Change::Import, failure),
        Some(Ok(source)) => {
            let model = new(Source::Files(source.source.clone()));
            import(model, commit, &facts.disk, source).needing(source.needed)
        }
        None if facts.disk == Disk::Whole && !facts.update => {
            Step::keep(KIND, name, short(commit.unwrap_or_default()))
        }
        None if facts.loadable && commit.is_none() && !facts.update => {
            Step::keep(KIND, name, "there, and not in site.lock: its bytes cannot be checked")
        }
        None => match &facts.download {
            Some(Ok(hub)) => {
                let model = new(Source::Hub(hub.clone()));
                download(model, hub, own.map(LockedModel::main), &facts.disk, facts.is_asked)
            }
            Some(Err(failure)) => Step::fail(KIND, name, Change::Download, failure),
            // Whoever needs it was asked; what is left is `--locked` without a lock, which is refused as a whole.
            None => Step::keep(KIND, name, ""),
        },
    }
}

/// The step for what is fetched of the Hub: nothing when it is there already, as the lock has it. `own`: the revision that it replaces;
/// `is_asked`: whether that is called as this one is.
pub(crate) fn download(
    new: NewModel,
    hub: &Download,
    own: Option<RevisionOf<'_>>,
    disk: &Disk,
    is_asked: bool,
) -> Step {
    let name = new.repo.to_string();
    let outline = &hub.outline;
    if is_asked && own.is_some_and(|own| hub.is(own.commit, own.files)) && *disk == Disk::Whole {
        return Step::keep(KIND, name, format!("commit {} is there already", short(outline.commit())));
    }
    let other = match own {
        Some(own) if own.commit != outline.commit() => {
            let first = |commit: &str| commit.chars().take(8).collect::<String>();
            format!("; replaces {}", first(own.commit))
        }
        _ => String::new(),
    };
    let summary = outline.summary();
    let detail = format!("{}{}{other}", summary.sentence(), why(disk));
    let task = Task::Model(Box::new(new));
    let mut step = Step::new(KIND, name, Change::Download, detail, task)
        .writing(outline.bytes())
        .needing(outline.to_fetch())
        .making(outline.entries());
    step.action.download = Some(Box::new(summary));
    step
}

/// The step for a source that was looked at: nothing when its content is there already, as the lock has it. `locked`: the commit that it
/// replaces.
pub(crate) fn import(new: NewModel, locked: Option<&str>, disk: &Disk, source: &SourceFacts) -> Step {
    let name = new.repo.to_string();
    if source.is_locked && *disk == Disk::Whole {
        return Step::keep(KIND, name, "already there");
    }
    let other = match (locked, source.commit.as_deref()) {
        (Some(locked), Some(commit)) if locked != commit => {
            let first = |commit: &str| commit.chars().take(8).collect::<String>();
            format!("; differs from site.lock: {} -> {}", first(locked), first(commit))
        }
        _ => String::new(),
    };
    let files = &source.source;
    let detail = format!("{}{}{other}", files.detail(), why(disk));
    let (bytes, entries) = (files.bytes(), files.files.len() as u64);
    Step::new(KIND, name, Change::Import, detail, Task::Model(Box::new(new)))
        .writing(bytes)
        // A blob and a link for each, perhaps a folder, and those of the model.
        .making(2 * entries + 8)
}

fn why(disk: &Disk) -> String {
    match disk {
        Disk::Drifted(why) | Disk::Damaged(why) => format!(": {why}"),
        _ => String::new(),
    }
}

fn short(commit: &str) -> String {
    commit.chars().take(12).collect()
}
