//! How far a pull is: one line on a terminal, nothing elsewhere.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bf_core::convert::{Tally, Teller, Told};
use bf_core::registry::Event;
use bf_core::report::{Format, fitted, how_far};

use crate::printer::Printer;

/// How often the line is drawn.
const DRAWN: Duration = Duration::from_millis(100);

/// The line; clones are the same one. It is gone with the last.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shown: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    name: String,
    tally: Tally,
    layer: Option<(usize, usize)>,
    waits: Option<String>,
    drawn: Option<Instant>,
}

impl Line {
    pub(super) fn new(printer: Printer, name: &str) -> Self {
        let shown = printer.format() != Format::Quiet && io::stderr().is_terminal();
        Self(Arc::new(Inner {
            shown,
            state: Mutex::new(State { name: name.to_owned(), ..State::default() }),
        }))
    }

    /// What takes in what happens, from whatever thread.
    pub(super) fn teller(&self) -> Teller {
        let line = self.clone();
        Arc::new(move |told| line.tell(&told))
    }

    fn tell(&self, told: &Told) {
        let mut state = self.0.state();
        state.take(told);
        if self.0.shown && state.drawn.is_none_or(|drawn| drawn.elapsed() >= DRAWN) {
            state.drawn = Some(Instant::now());
            let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
            talk(&format!("\r{}\x1b[K", state.text(columns.unwrap_or(80))));
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    /// The line gives way to the report.
    fn drop(&mut self) {
        if self.state().drawn.is_some() {
            talk("\r\x1b[K");
        }
    }
}

impl State {
    fn take(&mut self, told: &Told) {
        self.tally.take(told);
        if let Told::Layers(progress) = told {
            self.layer = Some((progress.layer, progress.layers));
        }
        let waits = matches!(told, Told::Registry(Event::Waiting { .. } | Event::Fallback { .. }));
        self.waits = told.sentence().filter(|_| waits);
    }

    /// What fits into one line of so many columns.
    fn text(&self, columns: usize) -> String {
        let mut text = format!("pulling {}", self.name);
        if let Some(how_far) = how_far(self.tally.done(), self.tally.total()) {
            let _ = write!(text, ": {how_far}"); // to a String, which cannot fail
        }
        if let Some((layer, layers)) = self.layer {
            let _ = write!(text, ", layer {layer} of {layers}"); // to a String, which cannot fail
        }
        if let Some(waits) = &self.waits {
            let _ = write!(text, "; {waits}"); // to a String, which cannot fail
        }
        fitted(&text, columns)
    }
}

/// A closed stderr is no reason to stop working.
fn talk(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use bf_core::convert::Progress;
    use bf_core::image::Digest;

    use super::*;

    #[test]
    fn a_line_says_how_many_bytes_and_which_layer() {
        let digest: Digest = format!("sha256:{}", "a1".repeat(32)).parse().unwrap();
        let mut state = State { name: "a_1".into(), ..State::default() };
        assert_eq!(state.text(80), "pulling a_1");
        state.take(&Told::Found { digest: digest.clone(), layers: 7, bytes: 3_000_000 });
        state.take(&Told::Registry(Event::Bytes { digest, done: 1_000_000, total: 2_000_000 }));
        state.take(&Told::Layers(Progress { layer: 3, layers: 7, bytes: 5 }));
        assert_eq!(state.text(80), "pulling a_1: 33% of 3.0 MB, layer 3 of 7");
        let (registry, reason) = ("q.io".to_owned(), "\x1b[2Jbusy".to_owned());
        state.take(&Told::Registry(Event::Waiting { registry, reason, wait: Duration::from_secs(3) }));
        assert!(state.text(80).ends_with("; waiting 3 s for q.io: [2Jbusy"), "{}", state.text(80));
        assert_eq!(state.text(12), "pulling a_1");
    }
}
