//! `version`: which program this is.

use std::io::{self, Write};

use bf_core::report::{Exit, Failure, Report};
use serde::Serialize;

use crate::cli::Context;

#[derive(Debug, Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
}

impl Report for Version {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} {}", self.name, self.version)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.version)
    }
}

/// Prints it.
pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    context.printer.print(&Version { name: "bf-admin", version: env!("CARGO_PKG_VERSION") })?;
    Ok(Exit::Ok)
}
