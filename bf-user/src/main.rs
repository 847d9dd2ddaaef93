//! bf-user: the researcher's command line, and the supervisor inside every job.

mod cli;
mod client;
mod commands;
mod folder;
#[cfg(test)]
mod golden;
mod images;
mod job;
mod launch;
mod models;
mod printer;
mod progress;
mod status;
mod store;
mod supervise;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
