//! One file for each verb: its options and a thin `run` that calls the work and prints its report.

mod init;
mod model;
mod permissions;
mod setup;
mod status;
mod validate;
mod version;

use bf_core::report::{Exit, Failure};
use clap::Subcommand;

use crate::cli::Context;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a starter `site.yaml` and `resource_specs.yaml`
    Init(init::Init),
    /// Check `site.yaml` and `resource_specs.yaml`: what is wrong, where, and what to write instead
    Validate(validate::Validate),
    /// Make the cache what site.yaml declares
    Setup(setup::Setup),
    /// Compare the cache with what is declared
    Status(status::Status),
    /// The models of the cache
    #[command(subcommand)]
    Model(model::Model),
    /// Who can read the cache
    #[command(subcommand)]
    Permissions(permissions::Permissions),
    /// Show the version
    Version,
}

/// Runs one.
pub(crate) fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(init) => init.run(context),
        Command::Validate(validate) => validate.run(context),
        Command::Setup(setup) => setup.run(context),
        Command::Status(status) => status.run(context),
        Command::Model(model) => model.run(context),
        Command::Permissions(permissions) => permissions.run(context),
        Command::Version => version::run(context),
    }
}
