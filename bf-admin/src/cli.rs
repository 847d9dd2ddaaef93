//! The command line: global options, verbs, and what a wrong one ends with.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bf_core::lock::Patience;
use bf_core::progress::Mode;
use bf_core::report::{Exit, Failure, Format};
use bf_core::settings::Environment;
use clap::error::ErrorKind;
use clap::{Args, Parser};

use crate::commands::Command;
use crate::printer::{self, Printer};
use crate::progress;

#[derive(Debug, Parser)]
#[command(
    name = "bf-admin",
    version,
    about = "Declare and provision the shared cache of Blackfish",
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Globals {
    /// Print one JSON document
    #[arg(long, global = true)]
    json: bool,
    /// Print no talk and no progress
    #[arg(long, short, global = true, conflicts_with = "json")]
    quiet: bool,
    /// How to show, on standard error, what is being done
    #[arg(long, global = true, value_name = "HOW", default_value = "auto", value_parser = progress::parser())]
    progress: Mode,
    /// The declared state [default: ./site.yaml, then the cache's copy]
    #[arg(long, global = true, value_name = "FILE")]
    site: Option<PathBuf>,
    /// The shared cache [default: what site.yaml says for setup and status, else BLACKFISH_CACHE_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Wait while somebody else changes the cache, SECONDS at most [default: be refused at once]
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ENDLESS,
        value_parser = patience
    )]
    wait: Option<Patience>,
}

/// What `--wait` alone stands for.
const ENDLESS: &str = "forever";

fn patience(text: &str) -> Result<Patience, &'static str> {
    if text == ENDLESS {
        return Ok(Patience::Endless);
    }
    let seconds = text.parse().map_err(|_| "a whole number of seconds is needed")?;
    Ok(Patience::AtMost(Duration::from_secs(seconds)))
}

/// What every command knows of the call.
#[derive(Debug)]
pub(crate) struct Context {
    /// How to say things.
    pub(crate) printer: Printer,
    /// `--site`.
    pub(crate) site: Option<PathBuf>,
    /// `--cache-dir`.
    pub(crate) cache_dir: Option<PathBuf>,
    /// `--wait`: how long a command that changes the cache waits for others.
    pub(crate) patience: Patience,
    /// The running bf-admin.
    pub(crate) program: PathBuf,
    /// The environment, taken once.
    pub(crate) environment: Environment,
    /// The whole command line, for the audit log.
    pub(crate) command: Vec<String>,
}

/// A command line that leads to no command: a wrong one, or a question for help.
#[derive(Debug)]
pub(crate) struct Refused {
    error: clap::Error,
    format: Format,
    /// Seconds that stand behind `--wait` as a word of their own.
    apart: Option<String>,
}

/// Reads the command line.
pub(crate) fn parse(arguments: &[OsString]) -> Result<(Context, Command), Refused> {
    let cli = Cli::try_parse_from(arguments).map_err(|error| {
        let json = arguments.iter().any(|argument| argument == "--json");
        let apart = arguments.windows(2).find(|pair| pair[0] == "--wait" && seconds(&pair[1]));
        let apart = apart.map(|pair| pair[1].to_string_lossy().into_owned());
        Refused { error, format: if json { Format::Json } else { Format::Text }, apart }
    })?;
    let format = match (cli.globals.json, cli.globals.quiet) {
        (true, _) => Format::Json,
        (false, true) => Format::Quiet,
        (false, false) => Format::Text,
    };
    let context = Context {
        printer: Printer::new(format).showing(cli.globals.progress),
        patience: cli.globals.wait.unwrap_or_default(),
        site: cli.globals.site,
        cache_dir: cli.globals.cache_dir,
        // Nothing lies beside a program that does not know where it is.
        program: std::env::current_exe().unwrap_or_default(),
        environment: Environment::of_process(),
        command: arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
    };
    Ok((context, cli.command))
}

fn seconds(word: &OsString) -> bool {
    word.to_str().is_some_and(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Refused {
    /// Says it: help on stdout with 0, a wrong usage on stderr (with `--json` on stdout) with 64.
    pub(crate) fn say(&self) -> Exit {
        let wait = self
            .apart
            .as_ref()
            .map(|seconds| format!("the seconds are joined to the option: --wait={seconds}"));
        let asked = matches!(self.error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        if asked || self.format != Format::Json {
            // Nowhere to say it when the stream is closed.
            let _ = self.error.print();
            if let Some(hint) = wait.filter(|_| !asked) {
                printer::hint(&hint);
            }
            return if asked { Exit::Ok } else { Exit::Usage };
        }
        let failure = Failure::new(Exit::Usage, "usage", sentence(&self.error.to_string())).with_hint(
            wait.unwrap_or_else(|| {
                "`bf-admin --help` lists the commands, `bf-admin COMMAND --help` the options of one".into()
            }),
        );
        Printer::new(self.format).finish(Err(failure))
    }
}

/// The first line of what clap says, and the indented ones behind it: the arguments that it is about.
fn sentence(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let about: Vec<&str> = lines.take_while(|line| line.starts_with(' ')).map(str::trim).collect();
    if about.is_empty() { first } else { format!("{first} {}", about.join(", ")) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_missing_is_part_of_the_sentence() {
        let said = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            sentence(&parse(&words).unwrap_err().error.to_string())
        };
        assert_eq!(
            said(&["bf-admin", "model", "import"]),
            "the following required arguments were not provided: <DIR|FILE>"
        );
        assert_eq!(said(&["bf-admin", "--nonsense"]), "unexpected argument '--nonsense' found");
        let value = said(&["bf-admin", "setup", "--only", "nothing"]);
        assert!(value.contains("'nothing'") && value.contains("[possible values: "), "{value}");
    }

    #[test]
    fn one_waits_not_at_all_or_for_ever_or_for_some_time() {
        let patience = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            parse(&arguments).map(|(context, _)| context.patience).ok()
        };
        assert_eq!(patience(&["bf-admin", "setup"]), Some(Patience::None));
        assert_eq!(patience(&["bf-admin", "--wait", "setup"]), Some(Patience::Endless));
        let minute = Some(Patience::AtMost(Duration::from_mins(1)));
        assert_eq!(patience(&["bf-admin", "setup", "--wait=60"]), minute);
        assert_eq!(patience(&["bf-admin", "setup", "--wait=soon"]), None);
    }

    #[test]
    fn a_wrong_usage_is_told_apart_from_a_question() {
        let parse = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            parse(&arguments).map(|_| ()).map_err(|refused| refused.error.kind())
        };
        assert_eq!(parse(&["bf-admin", "--version"]), Err(ErrorKind::DisplayVersion));
        assert_eq!(parse(&["bf-admin", "setup", "--onyl", "specs"]), Err(ErrorKind::UnknownArgument));
        assert_eq!(parse(&["bf-admin", "setup", "--only", "nothing"]), Err(ErrorKind::InvalidValue));
        assert_eq!(parse(&["bf-admin", "setup", "--only", "specs,models", "--json"]), Ok(()));
    }
}
