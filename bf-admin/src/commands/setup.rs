//! `setup`: makes the cache what site.yaml declares.

use std::collections::BTreeSet;

use bf_core::model::ModelId;
use bf_core::permissions;
use bf_core::publish::{Policy, clear_parts};
use bf_core::report::{Exit, Failure};
use bf_core::site::Locked;
use clap::Args;
use nix::unistd::Gid;

use crate::apply::{self, Done};
use crate::cli::Context;
use crate::drift::{self, Aim, Mend};
use crate::image::How;
use crate::locate::{self, Site};
use crate::locked;
use crate::plan::{Section, Step, Task, plan};
use crate::present::ahead::{self, Reading};
use crate::present::{self, Ask, Depth};
use crate::printer;
use crate::session::{self, Make};
use crate::space;

/// Options of `setup`.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
    /// Do only this
    #[arg(long, value_delimiter = ',', value_enum, value_name = "SECTION")]
    only: Vec<Section>,
    /// Compare a model that is there with its source, and import it again if they differ; pull an image again
    #[arg(long, value_name = "MODEL|IMAGE")]
    update: Vec<String>,
    /// Bring back exactly what site.lock has, and resolve nothing anew
    #[arg(long, conflicts_with = "update")]
    locked: bool,
    /// Compare the SHA-256 of every file in site.lock as well, several at a time and with little priority, and repair what differs
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    how: How,
}

/// What `--update` names.
#[derive(Debug, Default)]
struct Updates {
    models: BTreeSet<ModelId>,
    images: BTreeSet<String>,
}

impl Setup {
    /// Plans, and unless it is a dry run does it.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let site = locate::site(context)?;
        let updates = self.updates(&site)?;
        // A dry run fails where the real one does.
        let policy = session::policy(Some(&site.declared))?;
        let mut done = if self.dry_run {
            session::writable(&site.layout, Make::WithParents)?;
            clear_parts(&site.layout)?;
            let locked = Locked::load(&site.layout)?;
            Done::planned(self.steps(context, &site, &locked, &updates)?, site.layout.root().to_owned())
        } else {
            session::run(context, &site.layout, Make::WithParents, policy, |publisher| {
                let mut locked = Locked::load(&site.layout)?;
                let steps = self.steps(context, &site, &locked, &updates)?;
                let done = apply::apply(publisher, &mut locked, steps, context.printer);
                let line = done.audit();
                Ok((done, line))
            })?
        };
        done.site = Some(site.declared.path.clone());
        if !self.dry_run {
            warn_of_permissions(&site)?;
        }
        context.printer.print(&done)?;
        for failure in apply::told(&done.failures) {
            context.printer.partial_failure(failure);
        }
        Ok(done.exit())
    }

    fn steps(
        &self,
        context: &Context,
        site: &Site,
        locked: &Locked,
        updates: &Updates,
    ) -> Result<Vec<Step>, Failure> {
        let ask = Ask {
            models: updates.models.clone(),
            images: updates.images.clone(),
            depth: if self.full { Depth::Full } else { Depth::Quick },
            environment: &context.environment,
            program: &context.program,
            how: &self.how,
            only: &self.only,
            locked: self.locked,
        };
        if self.full {
            // What is not declared is not looked at either.
            let files = ahead::files(&site.layout, locked, |section, name| {
                let declared = &site.declared;
                let is_declared = match section {
                    Section::Images => declared.images.contains_key(name),
                    Section::Engines => declared.engines.contains_key(name),
                    Section::Models => declared.models.iter().any(|model| model.repo.to_string() == name),
                    Section::Toolkit | Section::Specs | Section::Site => true,
                };
                is_declared && (self.only.is_empty() || self.only.contains(&section))
            });
            ahead::read(files, &Reading { threads: None, resume: None, printer: context.printer });
        }
        if !self.locked {
            let present = present::gather(site, locked, &ask)?;
            let steps = plan(&site.declared, locked, &present, &self.only);
            session::may_give(&site.layout, &groups(&steps, session::policy(Some(&site.declared))?.group))?;
            return Ok(space::fit(&site.layout, steps));
        }
        let pinned = locked::pinned(site, locked);
        let mut present = present::gather(&pinned, locked, &ask)?;
        locked::hold(&mut present, site, locked, &self.only, &context.environment)?;
        let mut steps = plan(&pinned.declared, locked, &present, &self.only);
        locked::exact(&mut steps, &present, locked);
        session::may_give(&site.layout, &groups(&steps, session::policy(Some(&site.declared))?.group))?;
        if self.dry_run {
            locked::foresee(&mut steps);
        }
        Ok(space::fit(&site.layout, steps))
    }

    /// What `--update` is about. Of something that is not declared, or has no source, it would do nothing in silence.
    fn updates(&self, site: &Site) -> Result<Updates, Failure> {
        let mut updates = Updates::default();
        for text in &self.update {
            // An image's name has no slash; some models have none either.
            if site.declared.images.contains_key(text) {
                self.includes(Section::Images, text, "an image")?;
                updates.images.insert(text.clone());
            } else if let Ok(repo) = ModelId::parse(text) {
                self.includes(Section::Models, text, "a model")?;
                if site.declared.models.iter().all(|model| model.repo != repo) {
                    return Err(undeclared(site, text));
                }
                updates.models.insert(repo);
            } else {
                return Err(undeclared(site, text));
            }
        }
        Ok(updates)
    }

    fn includes(&self, section: Section, text: &str, what: &str) -> Result<(), Failure> {
        if self.only.is_empty() || self.only.contains(&section) {
            return Ok(());
        }
        let name = if section == Section::Images { "images" } else { "models" };
        let message = format!("`--update {text}` is about {what}, and `--only` leaves the {name} out");
        Err(Failure::new(Exit::Usage, "usage", message).with_hint(format!("add `{name}` to `--only`")))
    }
}

fn undeclared(site: &Site, text: &str) -> Failure {
    let shown = site.shown.display();
    if text.contains('/') {
        let message = format!("{shown} declares no model {text}");
        return Failure::new(Exit::NotFound, "model_not_declared", message)
            .with_hint(format!("`bf-admin model add {text}` fetches it without a declaration"));
    }
    let message = format!("{shown} declares no image {text}, and no model of that name");
    Failure::new(Exit::NotFound, "not_declared", message)
        .with_hint("`bf-admin image pull REF --force` fetches an image without a declaration")
}

/// The groups that something is given to by these steps: that of the whole cache, and those of models.
fn groups(steps: &[Step], own: Option<Gid>) -> BTreeSet<u32> {
    let mut groups = BTreeSet::new();
    for step in steps {
        match &step.task {
            Task::Keep | Task::Fail(_) => {}
            Task::Mend(mends) => groups.extend(mends.iter().filter_map(Mend::group)),
            Task::Model(new) => {
                groups.extend(
                    new.readers.policy(Policy { group: own, ..Policy::default() }).group.map(Gid::as_raw),
                );
            }
            _ => groups.extend(own.map(Gid::as_raw)),
        }
    }
    groups
}

/// What keeps users out is said every time, and changed only by those who decide about it.
fn warn_of_permissions(site: &Site) -> Result<(), Failure> {
    let locked = Locked::load(&site.layout)?;
    let (offer, _) = drift::offer(&site.layout, &site.declared, &locked, Aim::Published);
    for group in drift::grouped(&site.layout, &permissions::check(&site.layout, &offer)?) {
        let message = format!("{} {}", group.first.path.display(), group.message());
        printer::warning(&message, Some(&group.hint()));
    }
    Ok(())
}
