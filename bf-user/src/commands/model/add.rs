//! `bf-user model add`

use std::io::{self, Write};

use bf_core::hub::Bandwidth;
use bf_core::model::choose::{self, Choice};
use bf_core::model::{Named, Pattern, Revision};
use bf_core::report::{Exit, Failure, Report, human_bytes};
use bf_core::settings::Settings;
use clap::Args;

use crate::models::{self, Added, Change, Wanted};
use crate::printer::Printer;
use crate::progress::Progress;

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The model, as ORG/NAME or ORG/NAME@REVISION
    #[arg(value_name = "MODEL")]
    model: Named,
    /// A branch, a tag or a commit [default: main]
    #[arg(long, value_name = "REV")]
    revision: Option<Revision>,
    /// Of several formats this one: safetensors, gguf, ggml, pickle or mistral [default: the first of these]
    #[arg(long)]
    format: Option<choose::Wanted>,
    /// Only weights of these names, as `*Q4_K_M*`; can be given several times
    #[arg(long, value_name = "PATTERN")]
    include: Vec<Pattern>,
    /// No files of these names, as `onnx/`; can be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<Pattern>,
    /// All files, also those that no engine needs
    #[arg(long, conflicts_with_all = ["format", "include"])]
    all: bool,
    /// Take weights in pickle as well, which run code when they are loaded: of people you trust only
    #[arg(long)]
    allow_pickle: bool,
    /// Bytes per second that are fetched at most, as 50M
    #[arg(long, value_name = "RATE", value_parser = Bandwidth::parse)]
    bwlimit: Option<u64>,
    #[command(flatten)]
    progress: Progress,
    /// Say what would be fetched and left out, touch nothing
    #[arg(long)]
    dry_run: bool,
}

impl Report for Added {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (repo, commit) = (&self.repo, self.commit.chars().take(12).collect::<String>());
        let size = self.summary.as_ref().map(|summary| format!(", {}", human_bytes(summary.bytes)));
        let size = size.unwrap_or_default();
        match self.change {
            Change::Add if self.dry_run => writeln!(out, "{repo}: commit {commit} would be added{size}"),
            Change::Add => writeln!(out, "{repo}: commit {commit} was added{size}"),
            Change::Keep => writeln!(out, "{repo}: commit {commit} is there already{size}"),
            Change::Shared => writeln!(out, "{repo}: the shared cache has commit {commit} already{size}"),
        }
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.repo)
    }
}

pub(super) fn run(args: AddArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let revision = match (args.model.revision, args.revision) {
        (Some(one), Some(other)) if one != other => {
            let message = format!("two revisions are named, {one} and {other}");
            return Err(Failure::new(Exit::Usage, "usage", message).with_hint("leave one of them out"));
        }
        (one, other) => one.or(other).map(|revision| revision.to_string()),
    };
    let wanted = Wanted {
        id: args.model.repo,
        revision,
        choice: Choice {
            format: args.format,
            include: args.include,
            exclude: args.exclude,
            all: args.all,
            allow_pickle: args.allow_pickle,
        },
        bandwidth: args.bwlimit.unwrap_or_default(),
        progress: args.progress,
    };
    printer.report(&models::add(settings, &wanted, args.dry_run, printer)?)?;
    Ok(Exit::Ok)
}
