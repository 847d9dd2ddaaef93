//! `bf-user version`

use bf_core::report::{Exit, Failure, Version};

use crate::printer::Printer;

pub(crate) fn run(printer: Printer) -> Result<Exit, Failure> {
    printer.report(&Version { name: "bf-user", version: env!("CARGO_PKG_VERSION") })?;
    Ok(Exit::Ok)
}
