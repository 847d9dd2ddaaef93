//! `version`: which program this is.

use bf_core::report::{Exit, Failure, Version};

use crate::cli::Context;

/// Prints it.
pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    context.printer.print(&Version { name: "bf-admin", version: env!("CARGO_PKG_VERSION") })?;
    Ok(Exit::Ok)
}
