//! `bf-user tier ls` and `bf-user tier recommend`

mod recommend;

use std::io::{self, Write};
use std::path::PathBuf;

use bf_core::report::{Exit, Failure, Report, table};
use bf_core::settings::Settings;
use bf_core::spec::{ResourceSpecs, SpecSource};
use clap::{Args, Subcommand};
use serde::Serialize;

use self::recommend::RecommendArgs;
use crate::launch::open_cache;
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
        TierCommand::Recommend(args) => recommend::run(args, settings, printer),
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
