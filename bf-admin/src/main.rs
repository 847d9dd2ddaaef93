//! bf-admin: declares and provisions the shared cache.

mod apply;
mod cli;
mod commands;
mod drift;
mod engine;
mod image;
mod import;
mod in_use;
mod interrupt;
mod locate;
mod locked;
mod plan;
mod present;
mod printer;
mod progress;
mod removal;
mod session;
mod several;
mod space;
mod status;
#[cfg(test)]
mod testing;
mod tether;
mod toolkit;
mod validate;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match cli::parse(&arguments) {
        Ok((context, command)) => {
            let result = commands::run(&context, command);
            context.printer.finish(result).into()
        }
        Err(refused) => refused.say().into(),
    }
}
