//! `--progress`: how it is told how far a download is. All on standard error.

use std::io;
use std::sync::Arc;

use bf_core::progress::{Display, Mode};
use bf_core::report::Format;
use bf_core::settings::Environment;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::printer::Printer;

/// The option of commands that download.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Progress {
    /// How to show, on standard error, how far it is
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = parser())]
    progress: Mode,
}

/// Reads a mode, and lists all of them in the help.
fn parser() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(Mode::ALL.map(|(name, _, help)| PossibleValue::new(name).help(help)))
        .try_map(|name| name.parse::<Mode>())
}

impl Progress {
    /// What shows it. It is gone with the last of its clones.
    pub(crate) fn display(self, printer: Printer) -> Arc<Display> {
        let quiet = printer.format() == Format::Quiet;
        Arc::new(Display::on(io::stderr(), self.progress, quiet, &Environment::of_process()))
    }
}
