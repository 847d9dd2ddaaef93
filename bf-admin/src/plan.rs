//! What is to be done: a pure function of what is declared, what was locked and what is present.

mod engines;
mod images;
mod models;
mod toolkit;

pub(crate) use engines::{fault as engine_fault, need as engine_need};
pub(crate) use images::mended;
pub(crate) use models::{download, import};
pub(crate) use toolkit::missing as without_toolkit;

use bf_core::acquire::Summary;
use bf_core::report::Failure;
use bf_core::service::Native;
use bf_core::site::{Declared, Layout, Locked, LockedImage};
use clap::ValueEnum;
use serde::Serialize;

use crate::drift::{Drift, Mend};
use crate::engine::Interpreter;
use crate::image;
use crate::import::NewModel;
use crate::present::Present;
use crate::toolkit::{Beside, PROGRAM};

/// What `--only` chooses from, in the order of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// bf-user, for everybody to run
    Toolkit,
    /// `resource_specs.yaml`
    Specs,
    /// Container images
    Images,
    /// Models
    Models,
    /// Native engines
    Engines,
    /// The cache's copy of site.yaml
    Site,
}

/// What is done to one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    /// An engine is installed.
    Install,
    /// A file is published.
    Publish,
    /// A model or an image is imported.
    Import,
    /// An image is fetched from its registry.
    Pull,
    /// A model is fetched from the Hub.
    Download,
    /// A link is switched to what is there.
    Link,
    /// Modes, owners, groups and links are set again, and strange files moved away.
    Repair,
    /// Nothing.
    Keep,
}

impl Change {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Publish => "publish",
            Self::Import => "import",
            Self::Pull => "pull",
            Self::Download => "download",
            Self::Link => "link",
            Self::Repair => "repair",
            Self::Keep => "keep",
        }
    }
}

/// What became of one thing, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It is to be done.
    Planned,
    /// It was done.
    Done,
    /// Nothing was done, for a reason.
    Skipped,
    /// It could not be done.
    Failed,
}

impl Outcome {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// Why nothing is done. No step needs another one, so that none is skipped for the failure of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Skip {
    /// It is as it should be, or nothing that we know of could make it better.
    Unchanged,
    /// `--only` leaves it out.
    NotSelected,
    /// This version cannot provide it.
    NotProvidedYet,
}

impl Skip {
    /// The reason for people.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::NotSelected => "not selected by --only",
            Self::NotProvidedYet => "this version cannot provide it yet",
        }
    }
}

/// One line of a plan, and of the report of what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Action {
    /// `toolkit`, `specs`, `engine`, `image`, `model`, `tigerflow`, `ondemand`, `site`.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// What is done.
    #[serde(rename = "action")]
    pub(crate) change: Change,
    /// From what, or why.
    pub(crate) detail: String,
    /// How much is written, where that is known beforehand.
    pub(crate) bytes: Option<u64>,
    /// What became of it.
    pub(crate) state: Outcome,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Skip>,
    /// The code of its failure, for scripts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// What of a model of the Hub is fetched, and what is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) download: Option<Box<Summary>>,
}

/// The work behind an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// Nothing.
    Keep,
    /// Mend what was changed by hand.
    Mend(Vec<Mend>),
    /// It cannot be done.
    Fail(Failure),
    /// Publish this text as `resource_specs.yaml`.
    Specs(String),
    /// Publish this text as `site.yaml`.
    Site(String),
    /// Install an engine.
    Engine(String, Native, Interpreter),
    /// Import a revision of a model, or fetch it.
    Model(Box<NewModel>),
    /// Publish a bf-user; whether `bin/bf-user` must lead to it.
    Toolkit(Beside, bool),
    /// Let `bin/bf-user` lead to the one that is there.
    ToolkitLink,
    /// Fetch an image.
    Image(String, Box<image::Fetch>),
    /// Import an image.
    ImageFile(String, image::Source),
    /// Let the link of an image lead to its file, and the lock have it under this name.
    ImageLink(String, LockedImage),
}

/// An action and the work behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// What is told.
    pub(crate) action: Action,
    /// What is done.
    pub(crate) task: Task,
    /// How many bytes are written that the cache does not have yet, where that is known beforehand.
    pub(crate) needs: u64,
    /// How many files, folders and links are made, where that is known beforehand.
    pub(crate) entries: u64,
    /// What its result must be, whatever is found: the commit of a model, the SHA-256 of an image.
    pub(crate) exact: Option<String>,
}

impl Step {
    pub(crate) fn new(
        kind: &'static str,
        name: impl Into<String>,
        change: Change,
        detail: impl Into<String>,
        task: Task,
    ) -> Self {
        let action = Action {
            kind,
            name: name.into(),
            change,
            detail: detail.into(),
            bytes: None,
            state: Outcome::Planned,
            reason: None,
            code: None,
            message: None,
            hint: None,
            download: None,
        };
        Self { action, task, needs: 0, entries: 0, exact: None }
    }

    pub(crate) fn keep(kind: &'static str, name: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut step = Self::new(kind, name, Change::Keep, detail, Task::Keep);
        step.action.skip(Skip::Unchanged);
        step
    }

    /// What is declared and not done, whatever the cache has of it.
    pub(crate) fn skip(kind: &'static str, name: impl Into<String>, reason: Skip) -> Self {
        let mut step = Self::keep(kind, name, "");
        step.action.skip(reason);
        step
    }

    pub(crate) fn fail(
        kind: &'static str,
        name: impl Into<String>,
        change: Change,
        failure: &Failure,
    ) -> Self {
        let mut step = Self::new(kind, name, change, "", Task::Fail(failure.clone()));
        step.action.fail(failure);
        step
    }

    pub(crate) fn writing(mut self, bytes: u64) -> Self {
        self.action.bytes = Some(bytes);
        self.needs = bytes;
        self
    }

    /// So much room is needed while it is written, whatever stays of it.
    pub(crate) fn needing_room(mut self, bytes: u64) -> Self {
        self.needs = bytes;
        self
    }

    /// So many files, folders and links.
    pub(crate) fn making(mut self, entries: u64) -> Self {
        self.entries = entries;
        self
    }

    /// Of what it writes the cache has all but so much.
    fn needing(mut self, bytes: u64) -> Self {
        self.needs = self.needs.min(bytes);
        self
    }
}

impl Action {
    /// Marks it as failed.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        (self.state, self.reason, self.code) = (Outcome::Failed, None, Some(failure.code));
        self.message = Some(failure.message.clone());
        self.hint.clone_from(&failure.hint);
    }

    /// Marks it as skipped.
    pub(crate) fn skip(&mut self, reason: Skip) {
        (self.state, self.reason) = (Outcome::Skipped, Some(reason));
    }

    /// Whether it changes something, or did.
    pub(crate) fn changes(&self) -> bool {
        matches!(self.state, Outcome::Planned | Outcome::Done)
    }
}

/// Everything that makes the cache what is declared, in the order of the work. `only`: nothing else; empty: all.
///
/// What was changed by hand is mended first: what cannot be read cannot be compared with what is to be imported.
pub(crate) fn plan(declared: &Declared, locked: &Locked, present: &Present, only: &[Section]) -> Vec<Step> {
    let mut steps: Vec<Step> = present.drift.iter().map(|drift| repair(declared, drift)).collect();
    let mended =
        |step: &Step| present.drift.iter().any(|drift| drift.is_of(step.action.kind, &step.action.name));
    let rest = content(declared, locked, present, only);
    steps.extend(rest.into_iter().filter(|step| step.task != Task::Keep || !mended(step)));
    steps
}

fn repair(declared: &Declared, drift: &Drift) -> Step {
    let layout = Layout::new(&declared.cache_dir);
    Step::new(drift.kind, &drift.name, Change::Repair, drift.work(&layout), Task::Mend(drift.mends()))
}

/// The bytes of all that is declared.
fn content(declared: &Declared, locked: &Locked, present: &Present, only: &[Section]) -> Vec<Step> {
    let wanted = |section| only.is_empty() || only.contains(&section);
    let mut steps = Vec::new();
    let left_out = |steps: &mut Vec<Step>, kind, names: &mut dyn Iterator<Item = String>| {
        steps.extend(names.map(|name| Step::skip(kind, name, Skip::NotSelected)));
    };
    if wanted(Section::Toolkit) {
        steps.extend(present.toolkit.as_ref().map(toolkit::step));
    } else {
        left_out(&mut steps, "toolkit", &mut [PROGRAM.to_owned()].into_iter());
    }
    if wanted(Section::Specs) {
        steps.push(specs(present));
    } else {
        left_out(&mut steps, "specs", &mut [SPECS.to_owned()].into_iter());
    }
    if wanted(Section::Images) {
        steps.extend(
            present
                .images
                .iter()
                .map(|(name, facts)| images::step(name, facts, present.update_images.contains(name))),
        );
    } else {
        left_out(&mut steps, "image", &mut declared.images.keys().cloned());
    }
    if wanted(Section::Models) {
        steps.extend(declared.models.iter().filter_map(|wanted| {
            let own = locked.models.get(&wanted.repo.to_string());
            Some(models::step(wanted, own, present.models.get(&wanted.repo)?))
        }));
        // What was published for a group is not forgotten with its declaration.
        steps.extend(
            present
                .closed
                .iter()
                .filter_map(|closed| Some(Step::keep("model", &closed.name, closed.stays()?))),
        );
    } else {
        left_out(&mut steps, "model", &mut declared.models.iter().map(|model| model.repo.to_string()));
    }
    if wanted(Section::Engines) {
        steps.extend(declared.engines.iter().filter_map(|(id, wanted)| {
            Some(engines::step(id, wanted, locked.engines.get(id), present.engines.get(id)?))
        }));
    } else {
        left_out(&mut steps, "engine", &mut declared.engines.keys().cloned());
    }
    steps.extend(later(declared).map(|(kind, name)| Step::skip(kind, name, Skip::NotProvidedYet)));
    if wanted(Section::Site) {
        steps.push(site(declared, present));
    } else {
        left_out(&mut steps, "site", &mut [SITE.to_owned()].into_iter());
    }
    steps
}

/// Kind and name of what is declared and this version cannot provide.
pub(crate) fn later(declared: &Declared) -> impl Iterator<Item = (&'static str, String)> + use<> {
    let tigerflow = declared.tigerflow.as_ref().map(|_| ("tigerflow", "tigerflow".to_owned()));
    let ondemand = declared.ondemand.as_ref().map(|app| ("ondemand", app.name.clone()));
    tigerflow.into_iter().chain(ondemand)
}

const SPECS: &str = "resource_specs.yaml";
const SITE: &str = "site.yaml";

fn specs(present: &Present) -> Step {
    const KIND: &str = "specs";
    const NAME: &str = SPECS;
    let specs = &present.specs;
    match &specs.source {
        Some((_, Err(failure))) => Step::fail(KIND, NAME, Change::Publish, failure),
        Some(_) if present.site_is_copy => Step::keep(KIND, NAME, "the cache's own"),
        Some((_, Ok(text))) if specs.published.as_ref() == Some(text) => Step::keep(KIND, NAME, ""),
        Some((path, Ok(text))) => {
            let detail = format!("from {}", path.display());
            Step::new(KIND, NAME, Change::Publish, detail, Task::Specs(text.clone()))
                .writing(text.len() as u64)
        }
        None if specs.published.is_some() => Step::keep(KIND, NAME, "the cache's own"),
        None => Step::keep(KIND, NAME, "there is none: users get the built-in tiers"),
    }
}

fn site(declared: &Declared, present: &Present) -> Step {
    const KIND: &str = "site";
    const NAME: &str = SITE;
    if present.site_is_copy {
        return Step::keep(KIND, NAME, "the cache's own");
    }
    if present.site.as_ref() == Some(&declared.text) {
        return Step::keep(KIND, NAME, "");
    }
    let detail = format!("from {}", declared.path.display());
    Step::new(KIND, NAME, Change::Publish, detail, Task::Site(declared.text.clone()))
        .writing(declared.text.len() as u64)
}

#[cfg(test)]
mod tests;
