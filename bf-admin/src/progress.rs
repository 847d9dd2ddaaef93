//! What is told while a plan is carried out: one line on a terminal, lines, or events for programs. All on standard error.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bf_core::host;
use bf_core::report::{Failure, fitted, how_far, human_bytes};
use clap::ValueEnum;
use serde::Serialize;

use crate::plan::Action;

/// What `--progress` chooses from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// One line that changes, on a terminal; nothing elsewhere
    #[default]
    Auto,
    /// A line for everything that happens
    Plain,
    /// Events as JSON, one a line
    Json,
    /// Nothing
    None,
}

impl Progress {
    /// What is shown for it where `quiet` was asked for, or not.
    fn shown(self, quiet: bool) -> Shown {
        match self {
            Self::Json => Shown::Events,
            Self::Plain if !quiet => Shown::Lines,
            Self::Auto if !quiet && io::stderr().is_terminal() => Shown::Line,
            _ => Shown::Nothing,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    Line,
    Lines,
    Events,
}

/// How often one thing's bytes are told, and the line is drawn.
const EVENTS: Duration = Duration::from_millis(500);
const DRAWN: Duration = Duration::from_millis(100);

/// One event.
#[derive(Debug, Serialize)]
struct Event<'a> {
    event: &'static str,
    kind: &'a str,
    name: &'a str,
    bytes: u64,
    total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    at: String,
}

/// Tells it, from whatever thread.
#[derive(Debug)]
pub(crate) struct Display {
    shown: Shown,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    all: usize,
    ended: usize,
    running: BTreeMap<usize, Running>,
    drawn: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    kind: &'static str,
    name: String,
    bytes: u64,
    total: Option<u64>,
    said: String,
    told: Instant,
}

impl Display {
    pub(crate) fn new(progress: Progress, quiet: bool) -> Self {
        Self { shown: progress.shown(quiet), state: Mutex::default() }
    }

    /// How many things there are to be done.
    pub(crate) fn expect(&self, all: usize) {
        self.state().all = all;
    }

    /// Whether anybody looks at how many bytes there are.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.shown, Shown::Line | Shown::Events)
    }

    /// The thing with this number begins.
    pub(crate) fn start(&self, number: usize, action: &Action) {
        let running = Running {
            kind: action.kind,
            name: action.name.clone(),
            bytes: 0,
            total: action.bytes,
            said: action.change.name().to_owned(),
            told: Instant::now(),
        };
        let mut state = self.state();
        self.event("started", &running, None);
        state.running.insert(number, running);
        self.draw(&mut state, true);
    }

    /// Says what is being done.
    pub(crate) fn say(&self, number: usize, text: &str) {
        let mut state = self.state();
        let Some(running) = state.running.get_mut(&number) else { return };
        text.clone_into(&mut running.said);
        match self.shown {
            Shown::Lines => talk(&format!("{}: {text}\n", running.name)),
            Shown::Events => self.event("progress", running, Some(text)),
            _ => {}
        }
        self.draw(&mut state, false);
    }

    /// So many bytes more were read.
    pub(crate) fn add(&self, number: usize, bytes: u64) {
        self.count(number, |before| before + bytes);
    }

    /// So many bytes there will be.
    pub(crate) fn total(&self, number: usize, bytes: u64) {
        if let Some(running) = self.state().running.get_mut(&number) {
            running.total = Some(bytes);
        }
    }

    /// So many bytes were written until now.
    pub(crate) fn reach(&self, number: usize, bytes: u64) {
        self.count(number, |_| bytes);
    }

    fn count(&self, number: usize, bytes: impl FnOnce(u64) -> u64) {
        if !self.counts() {
            return;
        }
        let mut state = self.state();
        let Some(running) = state.running.get_mut(&number) else { return };
        running.bytes = bytes(running.bytes);
        if running.told.elapsed() >= EVENTS {
            running.told = Instant::now();
            self.event("progress", running, None);
        }
        self.draw(&mut state, false);
    }

    /// It is done.
    pub(crate) fn finish(&self, number: usize) {
        let mut state = self.state();
        let Some(mut running) = state.running.remove(&number) else { return };
        state.ended += 1;
        running.bytes = running.total.unwrap_or(running.bytes);
        self.event("finished", &running, None);
        if self.shown == Shown::Lines {
            talk(&format!("{} {}: done\n", running.kind, running.name));
        }
        self.draw(&mut state, true);
    }

    /// It failed. The report says so as well.
    pub(crate) fn fail(&self, number: usize, failure: &Failure) {
        let mut state = self.state();
        let Some(running) = state.running.remove(&number) else { return };
        state.ended += 1;
        self.event("failed", &running, Some(&failure.message));
        if self.shown == Shown::Lines {
            talk(&format!("{} {}: failed\n", running.kind, running.name));
        }
        self.draw(&mut state, true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, event: &'static str, running: &Running, message: Option<&str>) {
        if self.shown != Shown::Events {
            return;
        }
        let (kind, name) = (running.kind, running.name.as_str());
        let (bytes, total, at) = (running.bytes, running.total, host::now());
        let event = Event { event, kind, name, bytes, total, message, at };
        if let Ok(text) = serde_json::to_string(&event) {
            talk(&format!("{text}\n"));
        }
    }

    fn draw(&self, state: &mut State, now: bool) {
        if self.shown != Shown::Line || !(now || state.drawn.is_none_or(|drawn| drawn.elapsed() >= DRAWN)) {
            return;
        }
        state.drawn = Some(Instant::now());
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        talk(&format!("\r{}\x1b[K", line(state, columns.unwrap_or(80_usize))));
    }
}

impl Drop for Display {
    /// The line gives way to the report.
    fn drop(&mut self) {
        if self.state().drawn.is_some() {
            talk("\r\x1b[K");
        }
    }
}

/// What fits into one line of so many columns.
fn line(state: &State, columns: usize) -> String {
    let mut text = format!("{} of {} done", state.ended, state.all);
    for running in state.running.values() {
        let how_far = how_far(running.bytes, running.total.unwrap_or_default());
        let how_far = how_far.unwrap_or_else(|| match running.bytes {
            0 => running.said.clone(),
            bytes => format!("{}, {}", human_bytes(bytes), running.said),
        });
        let _ = write!(text, "; {}: {how_far}", running.name); // to a String, which cannot fail
    }
    fitted(&text, columns)
}

/// A closed stderr is no reason to stop working.
fn talk(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_and_says_how_far_things_are() {
        let running = |name: &str, bytes, total| Running {
            kind: "model",
            name: name.into(),
            bytes,
            total,
            said: "Copying\x1b blob".into(),
            told: Instant::now(),
        };
        let mut state = State { all: 5, ended: 2, ..State::default() };
        state.running.insert(2, running("org/a", 50, Some(200)));
        state.running.insert(3, running("mine", 0, None));
        assert_eq!(line(&state, 80), "2 of 5 done; org/a: 25% of 200 B; mine: Copying blob");
        assert_eq!(line(&state, 12), "2 of 5 done");
    }

    #[test]
    fn nobody_is_told_who_does_not_ask() {
        assert_eq!(Progress::Json.shown(true), Shown::Events);
        assert_eq!(Progress::Plain.shown(true), Shown::Nothing);
        assert_eq!(Progress::Plain.shown(false), Shown::Lines);
        assert_eq!(Progress::None.shown(false), Shown::Nothing);
    }
}
