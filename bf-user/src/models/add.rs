//! A model of the Hub becomes one of the user's own, unless it is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bf_core::acquire::{self, Ask, Outline, Record, Summary, Teller, Told};
use bf_core::hub::{Bandwidth, Hub, Options};
use bf_core::image::store::write_lock;
use bf_core::model::choose::Choice;
use bf_core::model::store::{self, Asked, New, NewFile, Take};
use bf_core::model::{self, Location, ModelId, Root, WeightFormat};
use bf_core::progress::Display;
use bf_core::publish::Publisher;
use bf_core::report::{Exit, Failure, shell_quoted};
use bf_core::settings::{Environment, Settings};
use bf_core::site::{self, Access, Layout, Locked, LockedModel, Part, RevisionOf};
use serde::Serialize;

use super::{change, explained};
use crate::folder;
use crate::printer::Printer;
use crate::progress::Progress;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The model, as somebody wrote it.
    pub(crate) id: ModelId,
    /// A branch, a tag or a commit; nothing for `main`.
    pub(crate) revision: Option<String>,
    /// Which of its files.
    pub(crate) choice: Choice,
    /// Bytes per second that are fetched at most; 0 is no limit.
    pub(crate) bandwidth: u64,
    pub(crate) progress: Progress,
}

/// What became of a model, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// It was fetched.
    Add,
    /// It is there already.
    Keep,
    /// The shared cache has it.
    Shared,
}

/// A model that was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Added {
    pub(crate) dry_run: bool,
    pub(crate) repo: ModelId,
    pub(crate) commit: String,
    pub(crate) change: Change,
    /// The snapshot; none for one that was not fetched yet.
    pub(crate) path: Option<PathBuf>,
    /// What of it was chosen and left out; nothing where nobody was asked.
    pub(crate) summary: Option<Summary>,
}

/// Fetches a model into the user's folder, unless that or the shared cache has it.
pub(crate) fn add(
    settings: &Settings,
    wanted: &Wanted,
    dry_run: bool,
    printer: Printer,
) -> Result<Added, Failure> {
    let shared = shared_cache(settings, printer);
    if let Some(there) = shared.as_ref().and_then(|layout| in_shared(layout, wanted, printer)) {
        return Ok(Added { dry_run, ..there });
    }
    let display = wanted.progress.display(printer);
    let hub = hub(wanted, &display)?;
    let own = folder::own(&settings.home_dir)?;
    let layout = own.clone().unwrap_or_else(|| Layout::new(&settings.home_dir));
    let locked = own.as_ref().map_or_else(|| Ok(Locked::default()), Locked::load)?;
    let outline = match acquire::outline_for(&hub, &wanted.ask(), &layout) {
        Err(failure) if failure.exit == Exit::Unreachable && wanted.is_any() => {
            let asked = Asked { revision: wanted.revision.as_deref(), declared: false };
            let there = whole(&layout, &locked, asked, &wanted.id);
            let (of, path) = there.ok_or_else(|| failure.clone())?;
            printer.note(&format!("warning: {failure}; what is there is not compared with it"));
            let (repo, commit) = (wanted.id.clone(), of.commit.to_owned());
            return Ok(Added {
                dry_run,
                repo,
                commit,
                change: Change::Keep,
                path: Some(path),
                summary: None,
            });
        }
        outline => outline?,
    };
    let summary = outline.summary();
    let added = |change, path| Added {
        dry_run,
        repo: outline.id().clone(),
        commit: outline.commit().to_owned(),
        change,
        path,
        summary: Some(summary.clone()),
    };
    if let Some(path) = shared.as_ref().and_then(|layout| snapshot_with(layout, &outline)) {
        return Ok(added(Change::Shared, Some(path)));
    }
    if let Some(path) = there(&layout, &locked, &outline) {
        return Ok(added(Change::Keep, Some(path)));
    }
    tell(&layout, &outline, &summary, printer);
    let needed = (outline.to_fetch(), outline.entries());
    folder::fits(&layout.models(), needed, &format!("the model {}", outline.id())).map_err(explained)?;
    if dry_run {
        return Ok(added(Change::Add, None));
    }
    change(&settings.home_dir, printer, |publisher, locked| {
        // Somebody else may have fetched it while we waited for the lock.
        if let Some(path) = there(publisher.layout(), locked, &outline) {
            return Ok(added(Change::Keep, Some(path)));
        }
        let name = outline.id().to_string();
        display.expect(1);
        display.start(0, ("model", &name), Some(outline.missing_bytes()), "");
        let before = locked.models.get(&name).cloned();
        let made = fetch(publisher, locked, &outline, (&hub, &display));
        match &made {
            Ok(_) => display.finish(0),
            Err(failure) => display.fail(0, &failure.message),
        }
        drop(display);
        let made = made?;
        if let Some(before) = before {
            left(&before, locked.models.get(&name), outline.id(), printer);
        }
        Ok(added(Change::Add, Some(made)))
    })
}

impl Wanted {
    fn ask(&self) -> Ask<'_> {
        Ask { id: &self.id, revision: self.revision.as_deref(), exact: None, choice: &self.choice }
    }

    /// Whether any set of weights of the format will do.
    fn is_any(&self) -> bool {
        let Choice { include, exclude, all, .. } = &self.choice;
        include.is_empty() && exclude.is_empty() && !all
    }

    fn format(&self) -> Option<WeightFormat> {
        self.choice.format.map(model::choose::Wanted::format)
    }
}

/// The Hub as the environment says, of which the display's thing number 0 is told.
fn hub(wanted: &Wanted, display: &Arc<Display>) -> Result<Hub, Failure> {
    let mut options = Options::new(Environment::of_process())?;
    options.bandwidth = Arc::new(Bandwidth::new(wanted.bandwidth));
    let display = Arc::clone(display);
    options.progress = Arc::new(move |event| display.tell(0, &event.news()));
    Ok(Hub::new(options)?)
}

/// The shared cache. One's own models need none, so one that cannot be used is said and done without.
fn shared_cache(settings: &Settings, printer: Printer) -> Option<Layout> {
    let cache = settings.cache_dir.as_deref()?;
    site::open(cache).map_err(|error| printer.note(&format!("warning: {error}"))).ok()
}

/// The model in the shared cache, by what that says itself: nobody else is asked. Of one that is asked for by names of files the
/// Hub must tell which these are.
fn in_shared(layout: &Layout, wanted: &Wanted, printer: Printer) -> Option<Added> {
    if !wanted.is_any() {
        return None;
    }
    let root = Root { path: layout.models(), location: Location::Cache };
    // As nobody asks for a revision who takes what is there.
    match model::find_format(&[root], &wanted.id, wanted.revision.as_deref(), wanted.format()) {
        Ok(found) => Some(Added {
            dry_run: false,
            repo: found.info.repo,
            commit: found.info.revision,
            change: Change::Shared,
            path: Some(found.info.path),
            summary: None,
        }),
        Err(model::ModelError::NotFound { .. } | model::ModelError::RevisionNotFound { .. }) => None,
        // One that this user cannot load is of no use to him.
        Err(error) => {
            printer.note(&format!("warning: {error}"));
            None
        }
    }
}

/// The snapshot of that commit in a cache, if it has all that is wanted, by names and lengths.
fn snapshot_with(layout: &Layout, outline: &Outline) -> Option<PathBuf> {
    let snapshot = store::folder(layout, outline.id()).join("snapshots").join(outline.commit());
    let has = |path: &str, bytes| {
        let at = snapshot.join(path);
        fs_err::metadata(&at).is_ok_and(|meta| meta.is_file() && meta.len() == bytes)
            && fs_err::File::open(&at).is_ok()
    };
    outline.files.iter().all(|file| has(&file.path, file.bytes)).then_some(snapshot)
}

/// What the revision is asked for as.
fn asked(outline: &Outline) -> Asked<'_> {
    Asked { revision: outline.asked_as(), declared: false }
}

/// The snapshot in the user's folder, if it has these files and is [`whole`].
fn there(layout: &Layout, locked: &Locked, outline: &Outline) -> Option<PathBuf> {
    let (of, snapshot) = whole(layout, locked, asked(outline), outline.id())?;
    let is_same = of.commit == outline.commit()
        && outline.files.iter().all(|file| {
            of.files.iter().any(|own| own.path == file.path && own.blob_name() == file.hash.hex())
        });
    is_same.then_some(snapshot)
}

/// What the user's folder has under the revision's name, with its snapshot, if refs lead to it and it is whole as far as lengths tell.
fn whole<'l>(
    layout: &Layout,
    locked: &'l Locked,
    asked: Asked<'_>,
    id: &ModelId,
) -> Option<(RevisionOf<'l>, PathBuf)> {
    let own = locked.models.get(&id.to_string())?;
    let of = asked.of(own).or_else(|| Some(own.main()).filter(|_| asked.is_main_of(own)))?;
    let folder = store::folder(layout, id);
    let snapshot = folder.join("snapshots").join(of.commit);
    let is_whole = store::link_fault(&snapshot, of.files).is_none()
        && store::faults(&folder, &of, false, &|_| {}).is_empty()
        && store::refs(Some(own), asked)
            .iter()
            .all(|name| store::leads_to(&folder.join("refs").join(name), of.commit));
    is_whole.then_some((of, snapshot))
}

/// Says what will be fetched, before it is.
fn tell(layout: &Layout, outline: &Outline, summary: &Summary, printer: Printer) {
    printer.note(&format!("{}: {}", outline.id(), summary.sentence()));
    summary.lines().iter().for_each(|line| printer.note(line));
    if outline.is_restricted() && is_open(layout.root()) {
        let root = layout.root().display();
        printer.note(&format!(
            "warning: others can read {root}, and the Hub gives {} to some only",
            outline.id()
        ));
        printer.note(&format!("hint: chmod 700 {}", shell_quoted(layout.root())));
    }
}

/// Whether others than its owner can enter a folder that is there.
fn is_open(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs_err::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 0o011 != 0)
}

/// Fetches it, and gives its snapshot. What was fetched stays when it fails, for the next run.
fn fetch(
    publisher: &Publisher<'_>,
    locked: &mut Locked,
    outline: &Outline,
    (hub, display): (&Hub, &Arc<Display>),
) -> Result<PathBuf, Failure> {
    let (layout, id) = (publisher.layout(), outline.id());
    let folder = store::folder(layout, id);
    store::clear(layout, &folder)?;
    let downloads = publisher.downloads(Part::Models, &id.folder_name())?;
    let stage = publisher.stage(Part::Models)?;
    let teller: Teller = {
        let display = Arc::clone(display);
        Arc::new(move |told: Told| display.tell(0, &told.news()))
    };
    let (blobs, asked) = (folder.join("blobs"), asked(outline));
    let mut files = acquire::fetch(hub, outline, downloads.path(), &blobs, &teller)?;
    let before = locked.models.get(&id.to_string()).cloned();
    // What was added of the same commit before stays: to add takes nothing away.
    let same = before.as_ref().and_then(|own| asked.of(own)).filter(|own| own.commit == outline.commit());
    for own in same.iter().flat_map(|own| own.files) {
        if files.iter().all(|file| file.path != own.path) {
            files.push(NewFile::stored(own, &blobs));
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let new = New { id, commit: Some(outline.commit()), files: &files, take: Take::Fetched };
    let made = store::make(layout, &new, stage.path(), &|_, _| {})?;
    let refs = store::refs(before.as_ref(), asked);
    Record::of(outline).publish(publisher, id, *publisher.policy())?;
    store::put(publisher, id, stage.path(), &made, &refs)?;
    let snapshot = folder.join("snapshots").join(&made.commit);
    store::enter(locked, id, asked, made, Access::All);
    write_lock(publisher, locked)?;
    drop(stage);
    // What cannot be removed is no reason to say that the model is not there: the next run takes it over.
    let _ = downloads.remove();
    Ok(snapshot)
}

/// Says what the model had before and now has no name any more. It stays: somebody may have named its commit where we do not see it.
fn left(before: &LockedModel, now: Option<&LockedModel>, id: &ModelId, printer: Printer) {
    let is_named = |commit: &str| now.is_some_and(|now| now.all().any(|own| own.commit == commit));
    for gone in before.all().filter(|own| !is_named(own.commit)) {
        let short: String = gone.commit.chars().take(12).collect();
        printer
            .note(&format!("the commit {short} stays beside it: `bf-user model rm {id}@{short}` removes it"));
    }
}
