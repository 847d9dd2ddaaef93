//! A command that does a step or a few to a cache: says what it would do, or does it and writes it down.

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
    run_all(context, layout, dry_run, |locked| Ok(vec![step(locked)?]))
}

/// Plans some steps, and unless it is a dry run does them.
pub(super) fn run_all(
    context: &Context,
    layout: &Layout,
    dry_run: bool,
    steps: impl FnOnce(&Locked) -> Result<Vec<Step>, Failure>,
) -> Result<Exit, Failure> {
    let done = if dry_run {
        session::writable(layout, Make::Itself)?;
        let locked = Locked::load(layout)?;
        Done::planned(steps(&locked)?, layout.root().to_owned())
    } else {
        let policy = session::policy(locate::declared_in(layout)?.as_ref())?;
        session::run(context, layout, Make::Itself, policy, |publisher| {
            let mut locked = Locked::load(layout)?;
            let steps = steps(&locked)?;
            let done = apply::apply(publisher, &mut locked, steps, context.printer);
            // Of a single thing the failure is the command's. What failed after it, as on a full disk the catalogue, is no news.
            if let ([failure, ..], [_]) = (done.failures.as_slice(), done.actions.as_slice()) {
                return Err(failure.clone());
            }
            let line = done.audit();
            Ok((done, line))
        })?
    };
    context.printer.print(&done)?;
    for failure in apply::told(&done.failures) {
        context.printer.partial_failure(failure);
    }
    Ok(done.exit())
}
