//! What is declared against what is there, thing by thing.

mod engines;
mod images;
mod later;
mod toolkit;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bf_core::acquire::Record;
use bf_core::model::ModelId;
use bf_core::model::store;
use bf_core::permissions::{self, Problem};
use bf_core::publish::{PublishError, clear_parts};
use bf_core::report::{Explain, Failure, Report, table};
use bf_core::site::{Declared, Layout, Locked, LockedModel, Part};
use serde::Serialize;

use crate::drift::{self, Aim, Closed, Drift};
use crate::locate::Site;
use crate::plan::Skip;
use crate::present::{self, Depth, Disk, Present};
use crate::session;

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As declared.
    Present,
    /// Declared and not there.
    Missing,
    /// There, and not as declared.
    Drifted,
    /// There, and not whole.
    Damaged,
    /// There, and not declared: somebody else's business.
    Unmanaged,
    /// It belongs on another host than this one.
    Elsewhere,
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Item {
    /// `toolkit`, `specs`, `engine`, `image`, `model`, `tigerflow`, `ondemand`, `site`, `permissions`, `quarantine`.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// How it stands.
    pub(crate) state: State,
    /// Why.
    pub(crate) detail: String,
    /// Where it is, or should be.
    #[serde(serialize_with = "bf_core::report::lossy::path")]
    pub(crate) path: PathBuf,
    /// What mends it.
    pub(crate) hint: Option<String>,
    /// All that is wrong with it, where `detail` names only the first of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<Told>,
    /// Why it does not count, whatever its state: what this version cannot provide must not keep a site from ever being in sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Skip>,
}

impl Item {
    /// Whether there is nothing to mend.
    fn is_fine(&self) -> bool {
        self.reason.is_some() || fine(self.state)
    }

    /// Adds what mends it, when there is something to mend.
    fn mended_by(mut self, hint: impl FnOnce() -> String) -> Self {
        if !self.is_fine() && self.hint.is_none() {
            self.hint = Some(hint());
        }
        self
    }
}

/// One of several faults of a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// Where.
    #[serde(serialize_with = "bf_core::report::lossy::path")]
    pub(crate) path: PathBuf,
    /// What, as the rest of a sentence that begins with the path.
    pub(crate) message: String,
}

/// The whole cache.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    in_sync: bool,
    items: Vec<Item>,
}

impl Status {
    /// Whether everything that is declared is there, and as it should be, but for what this version cannot provide.
    pub(crate) fn in_sync(&self) -> bool {
        self.in_sync
    }
}

impl Report for Status {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.items.iter().map(|item| {
            let state = format!("{:?}", item.state).to_lowercase();
            vec![state, item.kind.to_owned(), item.name.clone(), item.detail.clone()]
        });
        table(out, &["STATE", "KIND", "NAME", "DETAIL"], rows)?;
        let mut said: Vec<&str> = Vec::new();
        for hint in self.items.iter().filter_map(|item| item.hint.as_deref()) {
            if !said.contains(&hint) {
                writeln!(out, "hint: {hint}")?;
                said.push(hint);
            }
        }
        let left_out: Vec<&str> = self
            .items
            .iter()
            .filter(|item| item.reason == Some(Skip::NotProvidedYet))
            .map(|item| item.kind)
            .collect();
        let verdict = if self.in_sync { "in sync" } else { "not in sync" };
        match left_out.as_slice() {
            [] => writeln!(out, "{verdict}"),
            _ => {
                writeln!(out, "{verdict}, but for what this version cannot provide: {}", left_out.join(", "))
            }
        }
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut off = self.items.iter().filter(|item| !item.is_fine());
        off.try_for_each(|item| writeln!(out, "{} {}", item.kind, item.name))
    }
}

fn fine(state: State) -> bool {
    matches!(state, State::Present | State::Unmanaged | State::Elsewhere)
}

/// Compares everything.
pub(crate) fn of(site: &Site, program: &Path, depth: Depth) -> Result<Status, Failure> {
    let (layout, declared) = (&site.layout, &site.declared);
    let locked = Locked::load(layout)?;
    let present = present::tops(site)?;
    let mut items = Vec::new();
    let is_declared = !present.site_is_copy || present.site.is_some();
    toolkit::toolkit(&mut items, layout, &locked, program, is_declared, depth);
    items.push(specs(layout, &present).mended_by(|| setup(Depth::Quick)));
    engines::engines(&mut items, layout, declared, &locked, depth);
    images::images(&mut items, layout, declared, &locked, depth);
    models(&mut items, layout, declared, &locked, depth);
    later::later(&mut items, layout, declared);
    items.push(site_yaml(layout, declared, &present).mended_by(|| setup(Depth::Quick)));
    if layout.root().is_dir() {
        let drifts = drifts(&mut items, site, &locked)?;
        permissions(&mut items, site, &locked, &drifts)?;
        quarantined(&mut items, layout);
    }
    Ok(Status { in_sync: items.iter().all(Item::is_fine), items })
}

/// The command that repairs what was found at this depth.
fn setup(depth: Depth) -> String {
    match depth {
        Depth::Quick => "`bf-admin setup` mends it".into(),
        Depth::Full => "`bf-admin setup --full` mends it".into(),
    }
}

/// The hint about a link that stands where the cache must have a folder: no command of ours writes through it.
fn way(clear: Result<(), PublishError>) -> Option<String> {
    clear.err().and_then(|error| error.hint())
}

fn item(
    kind: &'static str,
    name: impl Into<String>,
    path: PathBuf,
    state: State,
    detail: impl Into<String>,
) -> Item {
    Item {
        kind,
        name: name.into(),
        state,
        detail: detail.into(),
        path,
        hint: None,
        faults: Vec::new(),
        reason: None,
    }
}

fn specs(layout: &Layout, present: &Present) -> Item {
    let (state, detail) = match (&present.specs.source, &present.specs.published) {
        (Some((_, Err(failure))), _) => (State::Damaged, failure.message.clone()),
        (Some(_), _) if present.site_is_copy => (State::Present, "the cache's own".into()),
        (Some((path, Ok(_))), None) => (State::Missing, format!("{} is not published", path.display())),
        (Some((_, Ok(text))), Some(published)) if text == published => (State::Present, String::new()),
        (Some((path, Ok(_))), Some(_)) => (State::Drifted, format!("differs from {}", path.display())),
        (None, Some(_)) => (State::Present, "the cache's own".into()),
        (None, None) => (State::Present, "there is none: users get the built-in tiers".into()),
    };
    item("specs", "resource_specs.yaml", layout.resource_specs(), state, detail)
}

fn site_yaml(layout: &Layout, declared: &Declared, present: &Present) -> Item {
    let (state, detail) = match &present.site {
        None if present.site_is_copy => (State::Present, "there is none: nothing is declared".into()),
        Some(_) if present.site_is_copy => (State::Present, "the cache's own".to_owned()),
        Some(text) if *text == declared.text => (State::Present, String::new()),
        Some(_) => (State::Drifted, format!("differs from {}", declared.path.display())),
        None => (State::Missing, "the cache has no copy yet".into()),
    };
    item("site", "site.yaml", layout.site_yaml(), state, detail)
}

fn models(items: &mut Vec<Item>, layout: &Layout, declared: &Declared, locked: &Locked, depth: Depth) {
    let (_, closed) = drift::offer(layout, declared, locked, Aim::Published);
    let closed = |name: &str| closed.iter().find(|closed| closed.name == name);
    for wanted in &declared.models {
        // Who may not look into it is told so, and not that it is damaged.
        if let Some(why) = closed(&wanted.repo.to_string()).and_then(Closed::to_you) {
            let name = wanted.repo.to_string();
            items.push(item("model", name, folder(layout, &wanted.repo), State::Present, why));
            continue;
        }
        let own = locked.models.get(&wanted.repo.to_string());
        let disk = present::locked_blobs(layout, &wanted.repo, own.map(LockedModel::main), depth);
        let (state, detail) = match disk {
            Disk::Whole => (State::Present, own.map(|own| own.commit.clone()).unwrap_or_default()),
            Disk::Drifted(why) => (State::Drifted, why),
            Disk::Damaged(why) => (State::Damaged, why),
            Disk::Absent if own.is_none() && present::loadable(layout, &wanted.repo) => {
                (State::Drifted, "not in site.lock: its bytes cannot be checked".into())
            }
            Disk::Absent => (State::Missing, String::new()),
        };
        let folder = folder(layout, &wanted.repo);
        let hint = way(store::clear(layout, &folder));
        let item = Item { hint, ..item("model", wanted.repo.to_string(), folder, state, detail) };
        let has_source = wanted.path.as_ref().is_none_or(|path| path.exists());
        items.push(item.mended_by(|| if has_source { setup(depth) } else { import_again(&wanted.repo) }));
        revisions(items, layout, &wanted.repo, own, depth);
    }
    let is_declared = |repo: &ModelId| declared.models.iter().any(|model| model.repo == *repo);
    for (name, own) in &locked.models {
        let Ok(repo) = ModelId::parse_stored(name) else { continue };
        if !is_declared(&repo) {
            let kept = closed(name);
            if let Some(why) = kept.and_then(Closed::to_you) {
                items.push(item("model", name, folder(layout, &repo), State::Unmanaged, why));
                continue;
            }
            let disk = present::locked_model(layout, &repo, Some(own), depth);
            let folder = folder(layout, &repo);
            let again = || fetch_again(layout, &repo, &own.commit);
            let hint = || way(store::clear(layout, &folder)).unwrap_or_else(again);
            let mut found = undeclared("model", name, &folder, disk).map(|item| item.mended_by(hint));
            if let (Some(item), Some(stays)) = (&mut found, kept.and_then(Closed::stays))
                && item.state == State::Unmanaged
            {
                item.detail = stays;
            }
            items.extend(found);
            revisions(items, layout, &repo, Some(own), depth);
        }
    }
    for (name, path) in subfolders(&layout.models()) {
        match ModelId::from_folder_name(&name) {
            Some(repo) if is_declared(&repo) || locked.models.contains_key(&repo.to_string()) => {}
            Some(repo) => {
                let stays = closed(&repo.to_string()).and_then(Closed::stays);
                let why = stays.unwrap_or_else(|| "not declared".into());
                items.push(item("model", repo.to_string(), path, State::Unmanaged, why));
            }
            None => items.push(item("model", name, path, State::Unmanaged, "not a model's folder name")),
        }
    }
}

/// The revisions of a model that are kept beside the one that users get.
fn revisions(
    items: &mut Vec<Item>,
    layout: &Layout,
    repo: &ModelId,
    own: Option<&LockedModel>,
    depth: Depth,
) {
    let others = own.into_iter().flat_map(|own| own.all().skip(1));
    for (own, name) in others.filter_map(|own| Some((own, own.name?))) {
        let disk = present::locked_revision(layout, repo, &own, name, depth);
        let disk = if disk == Disk::Absent { Disk::Damaged("its snapshot is missing".into()) } else { disk };
        let path = folder(layout, repo).join("snapshots").join(own.commit);
        let found = undeclared("model", &format!("{repo}@{name}"), &path, disk);
        items.extend(found.map(|item| item.mended_by(|| import_again(repo))));
    }
}

/// The command that brings back a revision that site.yaml does not have: from the Hub, where it came from there.
fn fetch_again(layout: &Layout, repo: &ModelId, commit: &str) -> String {
    match Record::read(layout, repo, commit) {
        Some(_) => format!("`bf-admin model verify {repo} --full --repair` mends it"),
        None => import_again(repo),
    }
}

/// The command that brings back a model whose source is not at hand.
fn import_again(repo: &ModelId) -> String {
    format!("`bf-admin model import DIR --as {repo}` mends it, from the files it came from")
}

fn folder(layout: &Layout, repo: &ModelId) -> PathBuf {
    layout.models().join(repo.folder_name())
}

/// What is in the lock and not in site.yaml: nobody misses it, but what is there of it must be whole.
fn undeclared(kind: &'static str, name: &str, path: &Path, disk: Disk) -> Option<Item> {
    match disk {
        Disk::Absent => None,
        Disk::Whole => {
            Some(item(kind, name, path.to_owned(), State::Unmanaged, "in site.lock, not declared"))
        }
        Disk::Drifted(why) => Some(item(kind, name, path.to_owned(), State::Drifted, why)),
        Disk::Damaged(why) => Some(item(kind, name, path.to_owned(), State::Damaged, why)),
    }
}

/// The folders in a folder, hidden ones left out, by name.
fn subfolders(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = fs_err::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .filter(|(name, path)| !name.starts_with('.') && path.is_dir())
        .collect();
    found.sort();
    found
}

/// A link where the cache must have a folder of its own, also one that leads to another place of the cache.
fn way_item(layout: &Layout, problems: &[Problem]) -> Option<Item> {
    let error = clear_parts(layout).err()?;
    let PublishError::InTheWay { path, .. } = &error else { return None };
    if problems.iter().any(|problem| problem.path == *path) {
        return None;
    }
    let name = layout.relative(path).display().to_string();
    let item = item("permissions", name, path.clone(), State::Drifted, error.to_string());
    Some(Item { hint: error.hint(), ..item })
}

/// One item for each thing that was changed by hand, in the place of the one that says how its bytes are, unless that is worse.
fn drifts(items: &mut Vec<Item>, site: &Site, locked: &Locked) -> Result<Vec<Drift>, Failure> {
    let (layout, declared) = (&site.layout, &site.declared);
    let policy = session::policy(Some(declared))?;
    let drifts = drift::gather(layout, declared, locked, policy, &[], Aim::Declared)?;
    for drift in &drifts {
        let path = drift.faults.first().map_or_else(|| layout.root().to_owned(), |fault| fault.path.clone());
        let told = |fault: &drift::Fault| Told { path: fault.path.clone(), message: fault.what.clone() };
        let faults = drift.faults.iter().map(told).collect();
        let one = item(drift.kind, &drift.name, path, State::Drifted, drift.detail(layout));
        let one = Item { faults, ..one }.mended_by(|| setup(Depth::Quick));
        // Of the toolkit there is an item for each architecture.
        let is_it = |item: &Item| {
            drift.is_of(item.kind, &item.name) || item.kind == "toolkit" && item.kind == drift.kind
        };
        match items.iter().position(is_it) {
            Some(at) if fine(items[at].state) => items[at] = one,
            Some(at) => items.insert(at + 1, one),
            None => items.push(one),
        }
    }
    Ok(drifts)
}

/// One item for the problems of each model and engine, and of each other path. A cache that users cannot reach is not in sync, whoever
/// decides about the folders above it.
fn permissions(items: &mut Vec<Item>, site: &Site, locked: &Locked, drifts: &[Drift]) -> Result<(), Failure> {
    let layout = &site.layout;
    let told: BTreeSet<&Path> =
        drifts.iter().flat_map(|drift| &drift.faults).map(|fault| fault.path.as_path()).collect();
    let (offer, _) = drift::offer(layout, &site.declared, locked, Aim::Declared);
    let mut problems = permissions::check(layout, &offer)?;
    problems.retain(|problem| !told.contains(problem.path.as_path()));
    let in_the_way = way_item(layout, &problems);
    let is_told = drifts.iter().any(|drift| drift.kind == "permissions");
    if in_the_way.is_none() && !is_told && problems.is_empty() {
        items.push(item("permissions", "cache", layout.root().to_owned(), State::Present, ""));
    }
    items.extend(in_the_way);
    for group in drift::grouped(layout, &problems) {
        let of = if group.more > 0 { &group.of } else { &group.first.path };
        let name = layout.relative(of).display().to_string();
        let name = if name.is_empty() { "cache".into() } else { name };
        let (first, mode) = (&group.first.message, &group.first.mode);
        let others = if group.more > 0 { format!(", and {} more", group.more) } else { String::new() };
        let detail = format!("{first} ({mode}){others}");
        let path = group.first.path.clone();
        items.push(Item {
            hint: Some(group.hint()),
            faults: group
                .all
                .iter()
                .map(|problem| Told { path: problem.path.clone(), message: problem.message.clone() })
                .collect(),
            ..item("permissions", name, path, State::Drifted, detail)
        });
    }
    Ok(())
}

/// What was moved away and waits for somebody to look at it; nothing where one may not look.
fn quarantined(items: &mut Vec<Item>, layout: &Layout) {
    for part in Part::ALL {
        let path = layout.part(part).join(Layout::QUARANTINE);
        let found = fs_err::read_dir(&path).into_iter().flatten().flatten().count();
        if found > 0 {
            let name = layout.relative(&path).display().to_string();
            let runs = if found == 1 { "1 run".to_owned() } else { format!("{found} runs") };
            let detail = format!("what {runs} moved away: look at it, then remove it");
            items.push(item("quarantine", name, path, State::Unmanaged, detail));
        }
    }
}

#[cfg(test)]
mod tests;
