//! `model import`: a folder or file becomes a model of the cache. Writes site.lock, never site.yaml.

use std::path::PathBuf;

use bf_core::model::{ModelId, WeightFormat};
use bf_core::publish::Policy;
use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, Locked};
use clap::Args;
use nix::unistd::Gid;

use crate::cli::Context;
use crate::commands::single;
use crate::drift::Readers;
use crate::locate;
use crate::plan::{self, Step};
use crate::present::{self, Depth, Disk, Kept};
use crate::session;

/// Options of `model import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The folder of the model, or its one file
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// What the model is called, as `organisation/name`
    #[arg(long = "as", value_name = "ORG/NAME")]
    repo: ModelId,
    /// Of several formats take only this one: gguf or safetensors
    #[arg(long, value_parser = format)]
    format: Option<WeightFormat>,
    /// Take weights in pickle as well, which run code when they are loaded: of people you trust only
    #[arg(long)]
    allow_pickle: bool,
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
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
        single::run(context, &layout, self.dry_run, |locked| self.step(&layout, locked))
    }

    fn step(&self, layout: &Layout, locked: &Locked) -> Result<Step, Failure> {
        let own = locked.models.get(&self.repo.to_string());
        let there =
            own.is_some() && present::locked_model(layout, &self.repo, own, Depth::Quick) != Disk::Absent;
        let facts = {
            let kept = Kept { format: self.format, pickle: self.allow_pickle };
            present::source(layout, &self.path, &self.repo, kept, there)?
        };
        let commit = own.map(|own| own.commit.as_str());
        // "Already there" is said of bytes that were compared.
        let disk = if there && facts.commit.as_deref() == commit {
            present::locked_model(layout, &self.repo, own, Depth::Full)
        } else {
            Disk::Absent
        };
        // Whom the cache's site.yaml keeps it for; what it does not declare any more stays for whom it was.
        let declared = locate::declared_in(layout)?;
        let declared =
            declared.iter().flat_map(|declared| &declared.models).find(|model| model.repo == self.repo);
        let readers = match (declared, own) {
            (Some(declared), _) => Readers::declared(declared)?,
            (None, Some(own)) => Readers::published(own),
            (None, None) => Readers::default(),
        };
        let group = readers.policy(Policy::default()).group;
        session::may_give(layout, &group.into_iter().map(Gid::as_raw).collect())?;
        Ok(plan::import(&self.repo, commit, &disk, facts.commit.as_deref(), &facts.source, &readers))
    }
}
