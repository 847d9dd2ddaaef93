//! Carries out a plan. A step that fails leaves the others to be done.

mod work;

use std::io::{self, Write};
use std::path::PathBuf;

use bf_core::catalog::{self, Catalog};
pub(crate) use bf_core::image::store::write_lock;
use bf_core::publish::Publisher;
use bf_core::report::{Exit, Failure, Report, human_bytes, one_line, table};
use bf_core::site::Locked;
use serde::Serialize;

use crate::image;
use crate::plan::{Action, Step, Task};
use crate::printer::Printer;

/// What was done, or would be.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    /// Whether nothing was touched.
    pub(crate) dry_run: bool,
    /// How many actions changed something, or would.
    pub(crate) changed: usize,
    /// All of them, in the order of the work.
    pub(crate) actions: Vec<Action>,
    /// The site.yaml that was used; none for an import.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "bf_core::report::lossy::maybe")]
    pub(crate) site: Option<PathBuf>,
    /// The cache.
    #[serde(serialize_with = "bf_core::report::lossy::path")]
    pub(crate) cache: PathBuf,
    /// What went wrong.
    #[serde(skip)]
    pub(crate) failures: Vec<Failure>,
}

impl Done {
    /// The report of a plan that is not carried out.
    pub(crate) fn planned(steps: Vec<Step>, cache: PathBuf) -> Self {
        let failures = steps
            .iter()
            .filter_map(|step| match &step.task {
                Task::Fail(failure) => Some(named(&step.action, failure.clone())),
                _ => None,
            })
            .collect();
        let actions = steps.into_iter().map(|step| step.action).collect();
        Self::new(true, actions, cache, failures)
    }

    fn new(dry_run: bool, actions: Vec<Action>, cache: PathBuf, failures: Vec<Failure>) -> Self {
        let changed = actions.iter().filter(|action| action.changes()).count();
        Self { dry_run, changed, actions, site: None, cache, failures }
    }

    /// The failures' own exit code where nothing else happened.
    pub(crate) fn exit(&self) -> Exit {
        match self.failures.as_slice() {
            [] => Exit::Ok,
            [one, more @ ..] if self.changed == 0 && more.iter().all(|other| other.exit == one.exit) => {
                one.exit
            }
            _ => Exit::Failed,
        }
    }

    /// What the audit log says of it; nothing when nothing was done.
    pub(crate) fn audit(&self) -> Option<String> {
        match (self.failures.as_slice(), self.changed) {
            ([], 0) => None,
            ([], changed) => Some(format!("ok: {}", changes(changed))),
            ([first, more @ ..], changed) => {
                let more =
                    if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
                Some(format!("failed: {first}{more}; {}", changes(changed)))
            }
        }
    }
}

/// Of several models, the failure of one must say of which: its message often knows a file only.
fn named(action: &Action, failure: Failure) -> Failure {
    if action.kind != "model" || failure.message.contains(&action.name) {
        return failure;
    }
    Failure { message: format!("model {}: {}", action.name, failure.message), ..failure }
}

/// What a table says of an action: why it failed, why it was skipped, or what it is about.
fn why(action: &Action) -> String {
    match (&action.message, action.reason) {
        (Some(message), _) => clause(message),
        (None, None) => action.detail.clone(),
        (None, Some(reason)) if action.detail.is_empty() => reason.told().to_owned(),
        (None, Some(reason)) => format!("{}: {}", reason.told(), action.detail),
    }
}

/// As much of a message as a table has room for: its first line, or what of it ends where a clause does.
fn clause(message: &str) -> String {
    const WIDTH: usize = 70;
    let line = message.lines().next().unwrap_or_default();
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    let end = line.char_indices().nth(WIDTH).map_or(line.len(), |(end, _)| end);
    let head = &line[..end];
    match [": ", "; ", ", ", " ("].iter().filter_map(|mark| head.rfind(mark)).max() {
        Some(end) if end > 0 => head[..end].to_owned(),
        _ => format!("{}...", head[..head.rfind(' ').unwrap_or(end)].trim_end()),
    }
}

/// What is to be known of a model before it is fetched.
fn beforehand(action: &Action) -> Vec<String> {
    let lines = action.download.iter().flat_map(|summary| summary.lines());
    lines.map(|line| format!("{}: {line}", action.name)).collect()
}

/// The failures, each once: three images that need the same program fail for the same reason.
pub(crate) fn told(failures: &[Failure]) -> impl Iterator<Item = &Failure> {
    failures.iter().enumerate().filter(|(at, one)| !failures[..*at].contains(one)).map(|(_, one)| one)
}

fn changes(number: usize) -> String {
    if number == 1 { "1 change".into() } else { format!("{number} changes") }
}

impl Report for Done {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(site) = &self.site {
            writeln!(out, "site.yaml: {}", site.display())?;
        }
        writeln!(out, "cache: {}", self.cache.display())?;
        let rows = self.actions.iter().map(|action| {
            vec![
                action.state.name().to_owned(),
                action.change.name().to_owned(),
                action.kind.to_owned(),
                action.name.clone(),
                action.bytes.map(human_bytes).unwrap_or_default(),
                why(action),
            ]
        });
        table(out, &["STATE", "ACTION", "KIND", "NAME", "SIZE", "DETAIL"], rows)?;
        if self.dry_run {
            for line in self.actions.iter().flat_map(beforehand) {
                writeln!(out, "{}", one_line(&line))?;
            }
        }
        match (self.failures.len(), self.changed, self.dry_run) {
            (0, 0, _) => writeln!(out, "nothing to do"),
            (0, changed, true) => writeln!(out, "{} to be done", changes(changed)),
            (0, changed, false) => writeln!(out, "{}", changes(changed)),
            (failed, 0, true) => writeln!(out, "{failed} would fail"),
            (failed, changed, true) => writeln!(out, "{} to be done, {failed} would fail", changes(changed)),
            (failed, changed, false) => writeln!(out, "{}, {failed} failed", changes(changed)),
        }
    }
}

/// Carries out `steps`. The lock is written after every step that changed something, so that a killed run loses nothing.
pub(crate) fn apply(
    publisher: &Publisher<'_>,
    locked: &mut Locked,
    steps: Vec<Step>,
    printer: Printer,
) -> Done {
    for step in steps.iter().filter(|step| step.action.changes() && step.action.download.is_some()) {
        printer.progress(&format!("{}: {}", step.action.name, step.action.detail));
        for line in beforehand(&step.action) {
            printer.progress(&line);
        }
    }
    let display = printer.display();
    let (mut actions, mut failures) = (Vec::new(), Vec::new());
    for (action, failure) in work::carry_out(publisher, locked, steps, &display) {
        failures.extend(failure.map(|failure| named(&action, failure)));
        actions.push(action);
    }
    drop(display);
    let changed = actions.iter().any(Action::changes);
    if let Err(failure) = keep_catalog(publisher, locked, changed) {
        failures.push(failure);
    }
    Done::new(false, actions, publisher.layout().root().to_owned(), failures)
}

/// The catalogue follows what was changed, by us or by somebody else since the last run.
pub(crate) fn keep_catalog(publisher: &Publisher<'_>, locked: &Locked, changed: bool) -> Result<(), Failure> {
    if changed || Catalog::open(publisher.layout()).is_err() {
        catalog::write(publisher, locked)?;
    }
    Ok(())
}

/// Writes an image down; gives why nothing changed, when its file was there and the lock said so.
fn entered(locked: &mut Locked, name: String, put: image::Put) -> Option<String> {
    let is_same = put.kept && locked.images.get(&name) == Some(&put.image);
    let why = format!("{} kept: its file is whole, and jobs may run from it", put.image.digest12());
    image::enter(locked, name, put.image);
    is_same.then_some(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Change, Skip};

    fn text(done: &Done) -> String {
        let mut out = Vec::new();
        done.text(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_dry_run_says_what_would_be_and_a_table_has_short_lines() {
        let long = format!("/data/{} cannot be imported: it is cut off, and more of it", "x/".repeat(12));
        let damaged = Failure::new(Exit::Invalid, "model_damaged", format!("{long}{}", " and on".repeat(30)));
        let missing = Failure::new(Exit::Unreachable, "apptainer_not_found", "neither is in PATH");
        let steps = vec![
            Step::new("site", "site.yaml", Change::Publish, "", Task::Site(String::new())),
            Step::keep("specs", "resource_specs.yaml", "the cache's own"),
            Step::keep("engine", "e", ""),
            Step::skip("engine", "f", Skip::NotSelected),
            Step::fail("model", "org/name", Change::Import, &damaged),
            Step::fail("image", "a", Change::Pull, &missing),
            Step::fail("image", "b", Change::Pull, &missing),
        ];
        let done = Done::planned(steps, "/c".into());
        let shown = text(&done);
        assert!(shown.ends_with("\n1 change to be done, 3 would fail\n"), "{shown}");
        assert!(shown.lines().all(|line| line.len() < 120), "{shown}");
        assert!(shown.contains("cannot be imported: it is cut off\n"), "{shown}");
        let line = |name: &str| {
            let line = shown.lines().find(|line| line.split_whitespace().nth(3) == Some(name)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("site.yaml"), "planned publish site site.yaml");
        assert_eq!(
            line("resource_specs.yaml"),
            "skipped keep specs resource_specs.yaml unchanged: the cache's own"
        );
        assert_eq!(line("e"), "skipped keep engine e unchanged");
        assert_eq!(line("f"), "skipped keep engine f not selected by --only");
        assert_eq!(line("b"), "failed pull image b neither is in PATH");
        let told: Vec<_> = told(&done.failures).map(|failure| failure.message.as_str()).collect();
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("model org/name: /data/") && told[0].ends_with(" and on"), "{told:?}");

        let done = Done { dry_run: false, ..done };
        assert!(text(&done).ends_with("\n1 change, 3 failed\n"));
    }

    #[test]
    fn a_clause_ends_where_words_do() {
        assert_eq!(clause("short: all of it\nmore"), "short: all of it");
        assert_eq!(clause(&format!("one, {}", "w".repeat(80))), "one");
        assert_eq!(clause(&"word ".repeat(20)), format!("{}...", "word ".repeat(14).trim_end()));
        assert!(clause(&"\u{e4}".repeat(100)).chars().count() <= 73);
    }
}
