//! `bf-user tier ls` and `bf-user tier recommend`

use std::io::{self, Write};
use std::path::PathBuf;

use bf_core::model::{self, ModelId};
use bf_core::report::{Exit, Failure, Report, table};
use bf_core::settings::Settings;
use bf_core::spec::{ResourceSpecs, SpecSource};
use bf_core::tier::{self, Choice};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::launch::{gb, open_cache, roots};
use crate::printer::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum TierCommand {
    /// List the tiers
    Ls(SpecsArgs),
    /// Say which tier a model gets, and why
    Recommend(RecommendArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SpecsArgs {
    /// Use this resource_specs.yaml [default: the cache's]
    #[arg(long, value_name = "FILE")]
    specs: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RecommendArgs {
    /// The model, as ORG/NAME
    #[arg(required_unless_present = "size_gb")]
    model: Option<String>,
    /// Size of its weights in GB (10^9 bytes) [default: that of the model]
    #[arg(long, value_name = "N")]
    size_gb: Option<f64>,
    /// Partition whose tiers are used [default: the site's default one]
    #[arg(long)]
    partition: Option<String>,
    #[command(flatten)]
    specs: SpecsArgs,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Tiers(ResourceSpecs);

impl Report for Tiers {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.0.partitions.iter().flat_map(|partition| {
            partition.tiers.iter().map(|tier| {
                vec![
                    format!("{}{}", partition.label(), if partition.default { " (default)" } else { "" }),
                    tier.name.clone(),
                    tier.max_model_size_gb.map_or_else(|| "any".into(), |size| format!("< {size} GB")),
                    tier.gpu_count.to_string(),
                    tier.gpu_type.clone().unwrap_or_else(|| "-".into()),
                    tier.cpu_cores.to_string(),
                    format!("{} GB", tier.memory_gb),
                    tier.description.clone(),
                ]
            })
        });
        let header = ["PARTITION", "TIER", "MODELS", "GPUS", "GPU TYPE", "CORES", "MEMORY", "DESCRIPTION"];
        table(out, &header, rows)?;
        let (default, max) = (self.0.time.default_minutes, self.0.time.max_minutes);
        writeln!(out, "a service runs for {default} minutes, or as --time says, {max} at most")
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        for partition in &self.0.partitions {
            for tier in &partition.tiers {
                writeln!(out, "{}", label(partition.name.as_deref(), &tier.name))?;
            }
        }
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Recommended(Choice);

impl Report for Recommended {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.0.tier {
            Some(tier) => {
                writeln!(out, "{}: {}", label(self.0.partition.as_deref(), tier), self.0.reason)
            }
            None => writeln!(out, "no tier: {}", self.0.reason),
        }
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        let partition = self.0.partition.as_deref();
        self.0.tier.iter().try_for_each(|tier| writeln!(out, "{}", label(partition, tier)))
    }
}

/// A tier as `--tier` takes it.
fn label(partition: Option<&str>, tier: &str) -> String {
    partition.map_or_else(|| tier.to_owned(), |partition| format!("{partition}.{tier}"))
}

/// Settings are resolved only when they are needed: `--specs FILE` needs no cache and no home.
pub(crate) fn run(
    command: &TierCommand,
    settings: impl Fn() -> Result<Settings, Failure>,
    printer: Printer,
) -> Result<Exit, Failure> {
    match command {
        TierCommand::Ls(args) => {
            let specs = load(args, &settings, printer)?;
            if matches!(specs.source, SpecSource::Defaults) {
                printer.note("this site has no resource_specs.yaml: these are the built-in tiers");
            }
            printer.report(&Tiers(specs))?;
            Ok(Exit::Ok)
        }
        TierCommand::Recommend(args) => {
            let specs = load(&args.specs, &settings, printer)?;
            let size_gb = match (args.size_gb, &args.model) {
                (Some(size), _) => Some(size),
                (None, Some(model)) => size_of(model, &settings()?)?,
                (None, None) => None,
            };
            let choice = tier::recommend(&specs, args.model.as_deref(), size_gb, args.partition.as_deref())?;
            let exit = if choice.tier.is_some() { Exit::Ok } else { Exit::Findings };
            printer.report(&Recommended(choice))?;
            Ok(exit)
        }
    }
}

fn load(
    args: &SpecsArgs,
    settings: &impl Fn() -> Result<Settings, Failure>,
    printer: Printer,
) -> Result<ResourceSpecs, Failure> {
    let Some(path) = &args.specs else {
        // What could be better in the site's file is said to those who can change it.
        return Ok(ResourceSpecs::load(&open_cache(&settings()?)?.resource_specs())?.specs);
    };
    let loaded = ResourceSpecs::load_file(path)?;
    printer.findings(&loaded.warnings);
    Ok(loaded.specs)
}

/// The size of a model's weights in GB; `None` if they are there and their size is not known.
fn size_of(model: &str, settings: &Settings) -> Result<Option<f64>, Failure> {
    let layout = open_cache(settings)?;
    let found = model::find(&roots(settings, &layout), &ModelId::parse_stored(model)?, None)?;
    Ok(found.info.size_bytes.map(gb))
}
