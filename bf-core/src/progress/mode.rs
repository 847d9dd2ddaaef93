//! How it is told how far work is: what somebody asks for with `--progress`, and what follows for a stream.

use std::os::fd::BorrowedFd;
use std::str::FromStr;

use rustix::termios::tcgetwinsize;

use crate::settings::Environment;

/// What `--progress` chooses from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Lines that change, on a terminal; nothing elsewhere.
    #[default]
    Auto,
    /// A line for everything that happens.
    Plain,
    /// Events.
    Json,
    /// Nothing.
    None,
}

impl Mode {
    /// All of them, by name, with what help says of each.
    pub const ALL: [(&'static str, Self, &'static str); 4] = [
        ("auto", Self::Auto, "Lines that change, on a terminal; nothing elsewhere"),
        ("plain", Self::Plain, "A line for everything that happens"),
        ("json", Self::Json, "Events as JSON, one a line"),
        ("none", Self::None, "Nothing"),
    ];

    /// What is told, on a terminal or elsewhere, where `quiet` was asked for or not. Who asks for events gets them.
    pub(super) fn shown(self, quiet: bool, is_terminal: bool) -> Shown {
        match self {
            Self::Json => Shown::Events,
            Self::Plain if !quiet => Shown::Lines,
            Self::Auto if !quiet && is_terminal => Shown::Screen,
            _ => Shown::Nothing,
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, ..)| *name == text);
        found.map(|(_, mode, _)| *mode).ok_or_else(|| "it must be auto, plain, json or none".into())
    }
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing.
    Nothing,
    /// Lines that are drawn again and again.
    Screen,
    /// Lines of a log.
    Lines,
    /// Events.
    Events,
}

/// How much fits into a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Characters of a line.
    pub(super) columns: usize,
    /// Lines.
    pub(super) rows: usize,
}

/// The size of the terminal that a stream is: what `COLUMNS` and `LINES` say, else what itself says, else what it always was.
pub(super) fn size(stream: Option<BorrowedFd<'_>>, environment: &Environment) -> Size {
    let asked = |name| environment.get(name)?.trim().parse::<usize>().ok().filter(|number| *number > 0);
    let own = stream.and_then(|stream| tcgetwinsize(stream).ok());
    let of = |own: Option<u16>, usual| own.filter(|own| *own > 0).map_or(usual, usize::from);
    Size {
        columns: asked("COLUMNS").unwrap_or_else(|| of(own.map(|own| own.ws_col), 80)),
        rows: asked("LINES").unwrap_or_else(|| of(own.map(|own| own.ws_row), 24)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn nobody_is_told_who_does_not_ask() {
        for (name, quiet, terminal, expected) in [
            ("json", true, false, Shown::Events),
            ("plain", true, true, Shown::Nothing),
            ("plain", false, false, Shown::Lines),
            ("auto", false, true, Shown::Screen),
            ("auto", false, false, Shown::Nothing),
            ("auto", true, true, Shown::Nothing),
            ("none", false, true, Shown::Nothing),
        ] {
            assert_eq!(name.parse::<Mode>().unwrap().shown(quiet, terminal), expected, "{name}");
        }
        assert!("bar".parse::<Mode>().is_err());
    }

    #[test]
    fn a_terminal_has_a_size_even_where_nobody_knows_it() {
        let file = tempfile::tempfile().unwrap();
        let of = |values: &[(&str, &str)]| {
            let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            size(Some(file.as_fd()), &Environment::of(values))
        };
        assert_eq!(of(&[]), Size { columns: 80, rows: 24 });
        assert_eq!(of(&[("COLUMNS", "100"), ("LINES", "0")]), Size { columns: 100, rows: 24 });
        assert_eq!(of(&[("COLUMNS", "wide"), ("LINES", "5")]), Size { columns: 80, rows: 5 });
    }
}
