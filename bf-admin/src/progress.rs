//! `--progress`: how it is told what is being done. All on standard error.

use std::io;

use bf_core::progress::{Display, Mode};
use bf_core::settings::Environment;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Reads a mode, and lists all of them in the help.
pub(crate) fn parser() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(Mode::ALL.map(|(name, _, help)| PossibleValue::new(name).help(help)))
        .try_map(|name| name.parse::<Mode>())
}

/// What shows it.
pub(crate) fn display(mode: Mode, quiet: bool) -> Display {
    Display::on(io::stderr(), mode, quiet, &Environment::of_process())
}
