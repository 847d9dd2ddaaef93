//! A command that does one step to a cache: says what it would do, or does it and writes it down.

use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, Locked};

use crate::apply::{self, Done};
use crate::cli::Context;
use crate::locate;
use crate::plan::Step;
use crate::session::{self, Make};

/// Plans the one step, and unless it is a dry run does it.
pub(super) fn run(
    context: &Context,
    layout: &Layout,
    dry_run: bool,
    step: impl FnOnce(&Locked) -> Result<Step, Failure>,
) -> Result<Exit, Failure> {
    let done = if dry_run {
        session::writable(layout, Make::Itself)?;
        let locked = Locked::load(layout)?;
        Done::planned(vec![step(&locked)?], layout.root().to_owned())
    } else {
        let policy = session::policy(locate::declared_in(layout)?.as_ref())?;
        session::run(context, layout, Make::Itself, policy, |publisher| {
            let mut locked = Locked::load(layout)?;
            let step = step(&locked)?;
            let done = apply::apply(publisher, &mut locked, vec![step], context.printer);
            // Of a single thing the failure is the command's.
            if let Some(failure) = done.failures.first() {
                return Err(failure.clone());
            }
            let line = done.audit();
            Ok((done, line))
        })?
    };
    context.printer.print(&done)?;
    Ok(Exit::Ok)
}
