//! How fast the programs are, side by side with a yardstick: each bench runs both in one process, in turns, so that what
//! the machine does besides hits both. `cargo run --release -p bench -- [startup|proxy|import|site|images|models] [--smoke]`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench that cannot go on ends there, with the reason; its output is its result"
)]

mod echo;
mod images;
mod import;
mod measure;
mod median;
mod models;
mod proxy;
mod site;
mod startup;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Only that it works.
    Smoke,
    /// For numbers.
    Full,
}

const NAMES: [&str; 6] = ["startup", "proxy", "import", "site", "images", "models"];

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [word, rest @ ..] = given.as_slice()
        && word == "measure-child"
    {
        return measure::child(rest);
    }
    let words: Vec<String> = given.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if let [word, socket] = words.as_slice()
        && word == "echo-engine"
    {
        echo::serve(Path::new(socket));
    }
    let smoke = words.iter().any(|word| word == "--smoke");
    let effort = if smoke { Effort::Smoke } else { Effort::Full };
    let names: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--smoke").collect();
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(name)) {
        eprintln!("error: there is no bench {unknown}\nhint: {}; --smoke only tries them", NAMES.join(", "));
        return ExitCode::from(64);
    }
    let wanted = |name: &str| names.is_empty() || names.contains(&name);
    if wanted("startup") {
        startup::run(effort);
    }
    if wanted("proxy") {
        proxy::run(effort);
    }
    if wanted("import") {
        import::run(effort);
    }
    if wanted("site") {
        site::run(effort);
    }
    if wanted("images") {
        images::run(effort);
    }
    if wanted("models") {
        models::run(effort);
    }
    if smoke {
        println!("\nthese numbers come from a smoke run: they show that it works, not how fast it is");
    }
    ExitCode::SUCCESS
}
