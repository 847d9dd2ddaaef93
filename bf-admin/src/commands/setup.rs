//! `setup`: makes the cache what site.yaml declares.

use std::collections::BTreeSet;

use bf_core::model::ModelId;
use bf_core::permissions;
use bf_core::report::{Exit, Failure};
use bf_core::site::Locked;
use clap::Args;

use crate::apply::{self, Done};
use crate::cli::Context;
use crate::locate::{self, Site};
use crate::plan::{Section, Step, plan};
use crate::session::{self, Make};
use crate::{present, printer};

/// Options of `setup`.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
    /// Do only this
    #[arg(long, value_delimiter = ',', value_enum, value_name = "SECTION")]
    only: Vec<Section>,
    /// Compare a model that is there with its source, and import it again if they differ
    #[arg(long, value_name = "MODEL")]
    update: Vec<ModelId>,
}

impl Setup {
    /// Plans, and unless it is a dry run does it.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let site = locate::site(context)?;
        self.check_updates(&site)?;
        let mut done = if self.dry_run {
            let locked = Locked::load(&site.layout)?;
            Done::planned(self.steps(context, &site, &locked)?, site.layout.root().to_owned())
        } else {
            let policy = session::policy(Some(&site.declared))?;
            session::run(&site.layout, &context.command, Make::WithParents, policy, |publisher| {
                let mut locked = Locked::load(&site.layout)?;
                let steps = self.steps(context, &site, &locked)?;
                let done = apply::apply(publisher, &mut locked, steps, context.printer);
                let line = done.audit();
                Ok((done, line))
            })?
        };
        done.site = Some(site.shown.clone());
        if !self.dry_run {
            warn_of_permissions(&site)?;
        }
        context.printer.print(&done)?;
        for failure in &done.failures {
            context.printer.partial_failure(failure);
        }
        Ok(done.exit())
    }

    fn steps(&self, context: &Context, site: &Site, locked: &Locked) -> Result<Vec<Step>, Failure> {
        let update: BTreeSet<ModelId> = self.update.iter().cloned().collect();
        let present = present::gather(site, locked, &update, &context.environment)?;
        Ok(plan(&site.declared, locked, &present, &self.only))
    }

    /// `--update` of something that is not declared, or has no source, would do nothing in silence.
    fn check_updates(&self, site: &Site) -> Result<(), Failure> {
        for repo in &self.update {
            let declared = site.declared.models.iter().find(|model| model.repo == *repo);
            if declared.is_none_or(|model| model.path.is_none()) {
                let message = format!("{} declares no model {repo} with a `path`", site.shown.display());
                return Err(Failure::new(Exit::NotFound, "model_not_declared", message).with_hint(format!(
                    "`bf-admin model import DIR --as {repo}` imports without a declaration"
                )));
            }
        }
        Ok(())
    }
}

/// What keeps users out is said every time, and changed only by those who decide about it.
fn warn_of_permissions(site: &Site) -> Result<(), Failure> {
    for problem in permissions::check(&site.layout)? {
        let message = format!("{} {}", problem.path.display(), problem.message);
        printer::warning(&message, Some(&problem.hint));
    }
    Ok(())
}
