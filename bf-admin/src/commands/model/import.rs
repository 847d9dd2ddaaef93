//! `model import`: a folder or file becomes a model of the cache. Writes site.lock, never site.yaml.

use std::path::PathBuf;

use bf_core::model::store::{Asked, MAIN, Take};
use bf_core::model::{ModelId, Pattern, Revision, WeightFormat};
use bf_core::publish::Policy;
use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, Locked};
use clap::Args;
use nix::unistd::Gid;

use crate::cli::Context;
use crate::commands::single;
use crate::drift::Readers;
use crate::import::{self, Kept, NewModel, Source};
use crate::locate;
use crate::plan::{self, Step};
use crate::present::{self, Depth, Disk};
use crate::session;

/// Options of `model import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The folder of the model, or its one file; also `models--ORG--NAME` of a cache of the Hub's clients
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// What the model is called, as `organisation/name` [default: as such a folder says]
    #[arg(long = "as", value_name = "ORG/NAME")]
    repo: Option<ModelId>,
    /// Of a cache this branch, tag or commit; of other files what they are called. Another one than `main` is kept beside what is there
    #[arg(long, value_name = "REV")]
    revision: Option<Revision>,
    /// Of several formats take only this one: gguf or safetensors
    #[arg(long, value_parser = format)]
    format: Option<WeightFormat>,
    /// Of the weights only files of these names, as `*Q4_K_M*`; can be given several times
    #[arg(long, value_name = "PATTERN")]
    include: Vec<Pattern>,
    /// No files of these names, as `onnx/`; can be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<Pattern>,
    #[command(flatten)]
    how: Ways,
    /// Take weights in pickle as well, which run code when they are loaded: of people you trust only
    #[arg(long)]
    allow_pickle: bool,
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
}

/// How files get into the cache.
#[derive(Debug, Args)]
struct Ways {
    /// Copy the files: the default
    #[arg(long, group = "how")]
    copy: bool,
    /// Move the files: they are removed when the cache has them, checked
    #[arg(long, group = "how")]
    r#move: bool,
    /// Give the files a second name in the cache, of the same filesystem: nothing is written. Their modes become those of the cache
    #[arg(long, group = "how")]
    link: bool,
}

impl Ways {
    fn take(&self) -> Take {
        match (self.r#move, self.link) {
            (true, _) => Take::Move,
            (_, true) => Take::Link,
            _ => Take::Copy,
        }
    }
}

fn format(text: &str) -> Result<WeightFormat, &'static str> {
    match text.parse() {
        Ok(format @ (WeightFormat::Gguf | WeightFormat::Safetensors)) => Ok(format),
        _ => Err("a format is gguf or safetensors"),
    }
}

impl Import {
    /// Imports it, unless the same content is there.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let layout = locate::cache(context)?;
        let repo = self.repo()?;
        single::run(context, &layout, self.dry_run, |locked| self.step(&layout, locked, repo))
    }

    /// What it is called: as it is said, or as its folder in a cache says.
    fn repo(&self) -> Result<ModelId, Failure> {
        let named = self.repo.clone().or_else(|| import::called(&self.path));
        named.ok_or_else(|| {
            let message = format!("{} does not say which model it is", self.path.display());
            Failure::new(Exit::Usage, "model_unnamed", message).with_hint("name it with `--as ORG/NAME`")
        })
    }

    fn step(&self, layout: &Layout, locked: &Locked, repo: ModelId) -> Result<Step, Failure> {
        let own = locked.models.get(&repo.to_string());
        let revision = self.revision.as_ref().map(Revision::as_str).filter(|name| *name != MAIN);
        let asked = Asked { revision, declared: false };
        let before = own.and_then(|own| asked.of(own));
        let name = revision.unwrap_or(MAIN);
        let disk = |depth| {
            before.map_or(Disk::Absent, |own| present::locked_revision(layout, &repo, &own, name, depth))
        };
        let there = disk(Depth::Quick) != Disk::Absent;
        let kept = Kept {
            choice: Kept::choice(self.format, &self.include, &self.exclude, self.allow_pickle),
            revision: self.revision.clone(),
            take: self.how.take(),
        };
        let facts = present::source(layout, &self.path, &repo, &kept, before.as_ref(), there)?;
        // "Already there" is said of bytes that were compared.
        let disk = if there && facts.is_locked { disk(Depth::Full) } else { Disk::Absent };
        // Whom the cache's site.yaml keeps it for; what it does not declare any more stays for whom it was.
        let declared = locate::declared_in(layout)?;
        let declared = declared.iter().flat_map(|declared| &declared.models).find(|model| model.repo == repo);
        let readers = match (declared, own) {
            (Some(declared), _) => Readers::declared(declared)?,
            (None, Some(own)) => Readers::published(own),
            (None, None) => Readers::default(),
        };
        let group = readers.policy(Policy::default()).group;
        session::may_give(layout, &group.into_iter().map(Gid::as_raw).collect())?;
        let new = NewModel {
            repo,
            source: Source::Files(facts.source.clone()),
            readers,
            revision: revision.map(str::to_owned),
            declared: false,
        };
        Ok(plan::import(new, before.map(|own| own.commit), &disk, &facts))
    }
}
