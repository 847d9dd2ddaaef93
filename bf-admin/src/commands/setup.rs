//! `setup`: makes the cache what site.yaml declares.

use std::collections::BTreeSet;

use bf_core::model::ModelId;
use bf_core::permissions;
use bf_core::publish::clear_parts;
use bf_core::report::{Exit, Failure};
use bf_core::site::Locked;
use clap::Args;

use crate::apply::{self, Done};
use crate::cli::Context;
use crate::locate::{self, Site};
use crate::plan::{Section, Step, plan};
use crate::present::{self, Depth};
use crate::printer;
use crate::session::{self, Make};

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
    /// Compare the SHA-256 of every file in site.lock as well, and repair what differs
    #[arg(long)]
    full: bool,
}

impl Setup {
    /// Plans, and unless it is a dry run does it.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let site = locate::site(context)?;
        self.check_updates(&site)?;
        // A dry run fails where the real one does.
        let policy = session::policy(Some(&site.declared))?;
        let mut done = if self.dry_run {
            clear_parts(&site.layout)?;
            let locked = Locked::load(&site.layout)?;
            Done::planned(self.steps(context, &site, &locked)?, site.layout.root().to_owned())
        } else {
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
        let depth = if self.full { Depth::Full } else { Depth::Quick };
        let present = present::gather(site, locked, &update, depth, &context.environment)?;
        Ok(plan(&site.declared, locked, &present, &self.only))
    }

    fn leaves_out(&self, section: Section) -> bool {
        !self.only.is_empty() && !self.only.contains(&section)
    }

    /// `--update` of something that is not declared, or has no source, would do nothing in silence.
    fn check_updates(&self, site: &Site) -> Result<(), Failure> {
        if let Some(repo) = self.update.first().filter(|_| self.leaves_out(Section::Models)) {
            let message = format!("`--update {repo}` is about a model, and `--only` leaves the models out");
            return Err(Failure::new(Exit::Usage, "usage", message).with_hint("add `models` to `--only`"));
        }
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
