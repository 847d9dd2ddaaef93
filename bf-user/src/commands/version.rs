//! `bf-user version`

use std::io::{self, Write};

use bf_core::report::{Exit, Failure, Report};
use serde::Serialize;

use crate::printer::Printer;

#[derive(Serialize)]
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

pub(crate) fn run(printer: Printer) -> Result<Exit, Failure> {
    printer.report(&Version { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") })?;
    Ok(Exit::Ok)
}
