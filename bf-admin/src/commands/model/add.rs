//! `model add`: models of the Hub become models of the cache. Writes site.lock, never site.yaml.

use std::collections::BTreeSet;

use bf_core::hub::Bandwidth;
use bf_core::model::choose::{self, Choice};
use bf_core::model::store::{Asked, MAIN};
use bf_core::model::{ModelId, Named, Pattern, Revision};
use bf_core::publish::Policy;
use bf_core::report::{Exit, Failure};
use bf_core::site::{Access, Layout, Locked, LockedModel};
use clap::Args;
use nix::unistd::Gid;

use crate::cli::Context;
use crate::commands::single;
use crate::drift::Readers;
use crate::import::{NewModel, Reach, Source, Wanted};
use crate::plan::{self, Change, Step};
use crate::present::{self, Depth, Disk};
use crate::{locate, session, space};

/// Options of `model add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Models, also a branch, a tag or a commit of one as REPO@REV. Another one than `main` is kept beside what is there
    #[arg(value_name = "REPO", required = true)]
    models: Vec<Named>,
    /// The branch, tag or commit of those that name none [default: main]
    #[arg(long, value_name = "REV")]
    revision: Option<Revision>,
    /// Of several formats take this one: safetensors, gguf, ggml, pickle, or mistral's own files
    #[arg(long, value_name = "FORMAT")]
    format: Option<choose::Wanted>,
    /// Of the weights only files of these names, as `*Q4_K_M*`; can be given several times
    #[arg(long, value_name = "PATTERN")]
    include: Vec<Pattern>,
    /// No files of these names, as `onnx/`; can be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<Pattern>,
    /// Take all files, and not one set of weights
    #[arg(long, conflicts_with_all = ["format", "include"])]
    all: bool,
    /// Take weights in pickle as well, which run code when they are loaded: of people you trust only
    #[arg(long)]
    allow_pickle: bool,
    /// Who may read it: all, or group:NAME. What is gated or private on the Hub needs it
    #[arg(long, value_name = "WHO", value_parser = access)]
    access: Option<Access>,
    /// Bytes per second that are fetched at most, as 50M
    #[arg(long, value_name = "RATE", value_parser = Bandwidth::parse)]
    bwlimit: Option<u64>,
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
}

fn access(text: &str) -> Result<Access, String> {
    text.to_owned().try_into()
}

impl Add {
    /// Fetches them, unless they are there.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        if let Some(named) =
            self.models.iter().find(|named| self.revision.is_some() && named.revision.is_some())
        {
            let message = format!("`--revision` and `@` both name a revision of {}", named.repo);
            return Err(Failure::new(Exit::Usage, "usage", message).with_hint("leave one of them out"));
        }
        let layout = locate::cache(context)?;
        let reach = Reach::new(&context.environment, self.bwlimit.unwrap_or_default())?;
        single::run_all(context, &layout, self.dry_run, |locked| {
            let mut steps = Vec::new();
            for named in &self.models {
                match self.step(&layout, locked, named, &reach) {
                    // Of several models one that cannot be had keeps nobody from the others.
                    Err(failure) if self.models.len() > 1 => {
                        let name = named.repo.to_string();
                        steps.push(Step::fail("model", name, Change::Download, &failure));
                    }
                    step => steps.push(step?),
                }
            }
            each_once(&steps)?;
            Ok(space::fit(&layout, steps))
        })
    }

    fn choice(&self) -> Choice {
        Choice {
            format: self.format,
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            all: self.all,
            allow_pickle: self.allow_pickle,
        }
    }

    fn step(&self, layout: &Layout, locked: &Locked, named: &Named, reach: &Reach) -> Result<Step, Failure> {
        let asked = named.revision.as_ref().or(self.revision.as_ref()).map(Revision::as_str);
        let asked = asked.filter(|name| *name != MAIN);
        let mut wanted = Wanted {
            revision: asked.map(str::to_owned),
            choice: self.choice(),
            // Nothing enters before it is known which model it is.
            access_is_given: true,
            exact: None,
        };
        let mut download = wanted.outline(layout, &named.repo, reach)?;
        let repo = download.repo().clone();
        let revision = download.outline.asked_as().map(str::to_owned);
        let own = locked.models.get(&repo.to_string());
        let before = own.and_then(|own| Asked { revision: revision.as_deref(), declared: false }.of(own));
        if let Some(before) = before.filter(|before| before.commit == download.outline.commit()) {
            download = download.keeping(before.files);
        }
        let name = revision.as_deref().unwrap_or(MAIN);
        let disk = before
            .map_or(Disk::Absent, |own| present::locked_revision(layout, &repo, &own, name, Depth::Quick));
        let (readers, is_given) = self.readers(layout, &repo, own)?;
        let new = NewModel {
            repo: repo.clone(),
            source: Source::Hub(Box::new(download.clone())),
            readers: readers.clone(),
            revision,
            declared: false,
        };
        let step = plan::download(new, &download, before, &disk, true);
        if step.action.changes() {
            wanted.access_is_given = is_given;
            wanted.may_enter(&repo, download.outline.is_restricted())?;
            let group = readers.policy(Policy::default()).group;
            session::may_give(layout, &group.into_iter().map(Gid::as_raw).collect())?;
        }
        Ok(step)
    }

    /// Whom it is for, and whether that was said: here, in the cache's site.yaml, or when it was published for some.
    fn readers(
        &self,
        layout: &Layout,
        repo: &ModelId,
        own: Option<&LockedModel>,
    ) -> Result<(Readers, bool), Failure> {
        let declared = locate::declared_in(layout)?;
        let declared =
            declared.iter().flat_map(|declared| &declared.models).find(|model| model.repo == *repo);
        let (readers, is_given) = match (declared, own) {
            (Some(declared), _) => (Readers::declared(declared)?, declared.access_is_given),
            (None, Some(own)) => (Readers::published(own), !own.access.is_all()),
            (None, None) => (Readers::default(), false),
        };
        let Some(access) = &self.access else { return Ok((readers, is_given)) };
        if readers.access != *access && (own.is_some() || is_given) {
            let message =
                format!("{repo} is kept for `{}` by now, and `--access` says `{access}`", readers.access);
            return Err(Failure::new(Exit::Invalid, "access_differs", message)
                .with_hint("declare it with that `access` in site.yaml, and run `bf-admin setup`"));
        }
        Ok((Readers::said(repo, access)?, true))
    }
}

/// Refuses to fetch two revisions of one model at the same time, into the same folder.
fn each_once(steps: &[Step]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    match steps.iter().find(|step| !seen.insert(&step.action.name)) {
        Some(twice) => {
            let message = format!("the model {} is named twice", twice.action.name);
            Err(Failure::new(Exit::Usage, "usage", message)
                .with_hint("add revisions of it one after the other"))
        }
        None => Ok(()),
    }
}
