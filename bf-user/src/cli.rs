//! The command line: arguments, global options, and which command they belong to.

use std::path::PathBuf;
use std::process::ExitCode;

use bf_core::report::{Exit, Failure, Format};
use bf_core::settings::{Environment, Flags, Settings};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::printer::Printer;

/// Run open models as private services of your own.
#[derive(Debug, Parser)]
#[command(
    name = "bf-user",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Print only ids, or nothing
    #[arg(short, long, global = true, conflicts_with = "json")]
    quiet: bool,
    /// Your own folder: services, keys, own models [env: BLACKFISH_HOME_DIR, else ~/.blackfish]
    #[arg(long, global = true, value_name = "DIR")]
    home_dir: Option<PathBuf>,
    /// The shared cache [env: BLACKFISH_CACHE_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// The profile in profiles.cfg to use
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a service
    Run(Box<commands::run::RunArgs>),
    /// List services: those that run, and those that ended within a day
    Ls(commands::ls::LsArgs),
    /// Show all that is known of a service
    Details(commands::details::DetailsArgs),
    /// Show what a service's engine said
    Logs(commands::logs::LogsArgs),
    /// Wait until a service answers
    Wait(commands::wait::WaitArgs),
    /// Stop a service
    Stop(commands::stop::StopArgs),
    /// Remove ended services with their logs
    Rm(commands::rm::RmArgs),
    /// Talk to a service
    Chat(commands::chat::ChatArgs),
    /// Models that can be run
    #[command(subcommand)]
    Model(commands::model::ModelCommand),
    /// Container images, the site's and your own
    #[command(subcommand)]
    Image(commands::image::ImageCommand),
    /// Resource tiers of this site
    #[command(subcommand)]
    Tier(commands::tier::TierCommand),
    /// Print the version
    Version,
    /// Run a job to its end (what job scripts call)
    Supervise(commands::supervise::SuperviseArgs),
    /// The engine's guardian
    #[command(hide = true)]
    Guard,
    /// Become the engine, tied to its guardian
    #[command(hide = true)]
    Tether(commands::supervise::TetherArgs),
    /// Become a job without a scheduler
    #[command(hide = true)]
    Detach(commands::supervise::DetachArgs),
}

/// Parses the arguments, runs the command, says how it went.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error, std::env::args_os().any(|argument| argument == "--json")),
    };
    let format = match (cli.global.json, cli.global.quiet) {
        (true, _) => Format::Json,
        (_, true) => Format::Quiet,
        _ => Format::Text,
    };
    let printer = Printer::new(format);
    let flags =
        Flags { home_dir: cli.global.home_dir, cache_dir: cli.global.cache_dir, profile: cli.global.profile };
    match run(cli.command, &flags, printer) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            printer.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Help and version are answers; everything else is wrong usage, which is 64 for us and not clap's 2.
fn usage(error: &clap::Error, json: bool) -> ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if json && !asked {
        let text = error.to_string();
        // What is missing or wrong is in the lines up to the first blank one.
        let words = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
        let first = words.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned();
        let failure = Failure::new(Exit::Usage, "usage", first)
            .with_hint("`bf-user --help` lists the commands, `bf-user COMMAND --help` the options of one");
        Printer::new(Format::Json).failure(&failure);
        return failure.exit.into();
    }
    // A closed stream is nothing to complain about.
    let _ = error.print();
    if asked { ExitCode::SUCCESS } else { Exit::Usage.into() }
}

fn run(command: Command, flags: &Flags, printer: Printer) -> Result<u8, Failure> {
    let settings =
        || Settings::resolve(flags, &Environment::of_process(), std::env::current_exe().ok().as_deref());
    let exit = match command {
        // In a job: no settings, no store, no printing.
        Command::Supervise(args) => return commands::supervise::supervise(&args),
        Command::Guard => return commands::supervise::guard(),
        Command::Tether(args) => return commands::supervise::tether(args),
        Command::Detach(args) => return commands::supervise::detach(&args),
        Command::Version => commands::version::run(printer),
        Command::Run(args) => commands::run::run(*args, &settings()?, printer),
        Command::Ls(args) => commands::ls::run(&args, &settings()?, printer),
        Command::Details(args) => commands::details::run(&args, &settings()?, printer),
        Command::Logs(args) => commands::logs::run(&args, &settings()?, printer),
        Command::Wait(args) => commands::wait::run(&args, &settings()?, printer),
        Command::Stop(args) => commands::stop::run(&args, &settings()?, printer),
        Command::Rm(args) => commands::rm::run(&args, &settings()?, printer),
        Command::Chat(args) => commands::chat::run(&args, &settings()?, printer),
        Command::Model(command) => commands::model::run(command, &settings()?, printer),
        Command::Image(command) => commands::image::run(&command, &settings()?, printer),
        Command::Tier(command) => commands::tier::run(&command, settings, printer),
    }?;
    Ok(exit.code())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
