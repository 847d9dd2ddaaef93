//! Tells how far work is, from whatever thread, on a stream that the program gives.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::board::{Board, Work};
use super::{Mode, News, Shown, Size, events, lines, mode, screen};
use crate::report::one_line;
use crate::settings::Environment;

/// How often the screen is drawn when nothing but numbers has changed.
const DRAWN: Duration = Duration::from_millis(100);

/// What shows how far work is. When it is dropped the screen gives way to the report.
pub struct Display {
    shown: Shown,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    board: Board,
    out: Box<dyn Write + Send>,
    size: Box<dyn Fn() -> Size + Send>,
    /// When the screen was drawn, and how many lines it had.
    drawn: Option<(Duration, usize)>,
}

impl Display {
    /// Tells it on a stream of the process as `mode` asks for, and nothing but events where `quiet` was asked for.
    pub fn on<S>(stream: S, mode: Mode, quiet: bool, environment: &Environment) -> Self
    where
        S: Write + IsTerminal + AsFd + Send + 'static,
    {
        // One that only prints moves no cursor (terminfo, "dumb").
        let is_terminal = stream.is_terminal() && environment.get("TERM") != Some("dumb");
        let environment = environment.clone();
        let descriptor = stream.as_fd().try_clone_to_owned().ok();
        let size = move || match &descriptor {
            Some(descriptor) => mode::size(Some(descriptor.as_fd()), &environment),
            None => mode::size(None, &environment),
        };
        Self::new(mode.shown(quiet, is_terminal), stream, size)
    }

    /// Tells it in this way on `out`, a terminal of `size` where that matters.
    fn new(shown: Shown, out: impl Write + Send + 'static, size: impl Fn() -> Size + Send + 'static) -> Self {
        let state = State { board: Board::default(), out: Box::new(out), size: Box::new(size), drawn: None };
        Self { shown, began: Instant::now(), state: Mutex::new(state) }
    }

    /// How many things there are to be done.
    pub fn expect(&self, all: usize) {
        self.state().board.all = all;
    }

    /// Whether anybody looks at how many bytes there are.
    pub fn counts(&self) -> bool {
        self.shown != Shown::Nothing
    }

    /// The thing with this number begins, of which that many bytes are expected, if that is known, and that is done first.
    pub fn start(&self, number: usize, (kind, name): (&'static str, &str), total: Option<u64>, says: &str) {
        let now = self.began.elapsed();
        let mut state = self.state();
        let work = Work::new(kind, name, total, says, now);
        if self.shown == Shown::Events {
            state.say(&events::whole("started", &work, None, now));
        }
        state.board.running.insert(number, work);
        self.draw(&mut state, now, true);
    }

    /// Something happened to it.
    pub fn tell(&self, number: usize, news: &News) {
        if !self.counts() {
            return;
        }
        let now = self.began.elapsed();
        let mut state = self.state();
        let Some(work) = state.board.running.get_mut(&number) else { return };
        work.take(news, now);
        let said = match self.shown {
            Shown::Events => events::of(work, news, now),
            Shown::Lines => lines::line(work, news, now).into_iter().collect(),
            Shown::Screen | Shown::Nothing => Vec::new(),
        };
        for line in said {
            state.say(&line);
        }
        let at_once = matches!(news, News::Waits(_) | News::PartRestarts { .. });
        self.draw(&mut state, now, at_once);
    }

    /// It is done.
    pub fn finish(&self, number: usize) {
        self.end(number, None);
    }

    /// It failed, as the report says as well.
    pub fn fail(&self, number: usize, message: &str) {
        self.end(number, Some(message));
    }

    fn end(&self, number: usize, failed: Option<&str>) {
        let now = self.began.elapsed();
        let mut state = self.state();
        let Some(mut work) = state.board.running.remove(&number) else { return };
        state.board.ended += 1;
        if failed.is_none() {
            work.bytes = work.total.unwrap_or(work.bytes);
        }
        match self.shown {
            Shown::Events => {
                let event = if failed.is_some() { "failed" } else { "finished" };
                state.say(&events::whole(event, &work, failed, now));
            }
            Shown::Lines => state.say(&lines::ended(&work, failed.is_none())),
            Shown::Screen | Shown::Nothing => {}
        }
        self.draw(&mut state, now, true);
    }

    /// Says something beside it, on a line that stays.
    pub fn note(&self, text: &str) {
        let now = self.began.elapsed();
        let mut state = self.state();
        state.clear();
        state.say(text);
        self.draw(&mut state, now, true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, state: &mut State, now: Duration, at_once: bool) {
        let is_due = || state.drawn.is_none_or(|(drawn, _)| now.saturating_sub(drawn) >= DRAWN);
        if self.shown == Shown::Screen && (at_once || is_due()) {
            state.draw(now);
        }
    }
}

impl State {
    /// A closed stream is no reason to stop working.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }

    fn say(&mut self, line: &str) {
        let line = format!("{}\n", one_line(line));
        self.write(&line);
    }

    /// Over what was drawn before. The cursor stays at the end of the last line (ECMA-48: CUU, EL, ED).
    fn draw(&mut self, now: Duration) {
        let lines = screen::lines(&self.board, (self.size)(), now);
        let mut text = self.back();
        for (index, line) in lines.iter().enumerate() {
            text.push_str(if index == 0 { "" } else { "\r\n" });
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        self.write(&text);
        self.drawn = Some((now, lines.len()));
    }

    /// To the beginning of the first line that was drawn.
    fn back(&self) -> String {
        match self.drawn {
            Some((_, lines @ 2..)) => format!("\r\x1b[{}A", lines - 1),
            _ => "\r".into(),
        }
    }

    fn clear(&mut self) {
        if self.drawn.is_some() {
            let text = format!("{}\x1b[J", self.back());
            self.write(&text);
            self.drawn = None;
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.state().clear();
    }
}

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Display").field("shown", &self.shown).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn told(shown: Shown, work: impl FnOnce(&Display)) -> String {
        let kept = Kept::default();
        let display = Display::new(shown, kept.clone(), || Size { columns: 80, rows: 24 });
        display.expect(1);
        work(&display);
        drop(display);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn work(display: &Display) {
        display.start(0, ("model", "org/a"), Some(9), "");
        for part in ["a", "b"] {
            display.tell(0, &News::PartBegins { part: part.into(), total: 9, there: 0 });
        }
        display.tell(0, &News::waiting(Duration::from_secs(1), "hub", "\x1b[2Jbusy"));
        display.note("beside");
        display.finish(0);
        display.tell(0, &News::Says("too late".into()));
    }

    /// What a terminal of so many lines shows in the end: enough of one for what is sent here.
    fn terminal(sent: &str) -> Vec<String> {
        let (mut rows, mut row, mut column) = (vec![String::new()], 0_usize, 0_usize);
        let mut rest = sent;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '\r' => column = 0,
                '\n' => {
                    (row, column) = (row + 1, 0);
                    rows.resize(rows.len().max(row + 1), String::new());
                }
                '\x1b' => {
                    let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                    match (&rest[1..end], &rest[end..=end]) {
                        (up, "A") => row -= up.parse::<usize>().unwrap(),
                        ("", "K") => rows[row].truncate(column),
                        ("", "J") => {
                            rows.truncate(row + 1);
                            rows[row].truncate(column);
                        }
                        other => panic!("{other:?}"),
                    }
                    rest = &rest[end + 1..];
                }
                character => {
                    rows[row].truncate(column);
                    rows[row].push(character);
                    column += 1;
                }
            }
        }
        rows
    }

    #[test]
    fn a_screen_is_drawn_over_itself_and_is_gone_in_the_end() {
        let sent = told(Shown::Screen, work);
        assert_eq!(terminal(&sent), ["beside", ""]);
        // A wait is drawn, however soon it comes.
        let waiting = sent.find("waiting 1 s for hub: [2Jbusy").unwrap();
        let up_to = sent[waiting..].find("\x1b[J").unwrap() + waiting + 3;
        let golden = ["model org/a: 0% of 9 B", "  waiting 1 s for hub: [2Jbusy"];
        let shown = terminal(&sent[..up_to]);
        assert_eq!(shown[..2], golden);
        assert!(shown[2].ends_with("  a") && shown[3].ends_with("  b") && shown.len() == 4, "{shown:?}");
    }

    #[test]
    fn lines_and_events_have_no_control_characters_and_nothing_is_told_to_nobody() {
        let lines = told(Shown::Lines, work);
        assert_eq!(lines, "org/a: waiting 1 s for hub: \\u{1b}[2Jbusy\nbeside\nmodel org/a: done, 9 B\n");
        let events = told(Shown::Events, work);
        let names: Vec<String> = events
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .map(|event| format!("{} {}", event["event"].as_str().unwrap(), event["file"]))
            .collect();
        let golden = ["started null", "started \"a\"", "started \"b\"", "progress null", "finished null"];
        assert_eq!(names, golden, "{events}");
        assert_eq!(told(Shown::Nothing, |display| display.start(0, ("model", "a"), None, "")), "");
    }
}
