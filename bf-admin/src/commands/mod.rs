//! One file for each verb: its options and a thin `run` that calls the work and prints its report.

mod doctor;
mod image;
mod init;
mod model;
mod permissions;
mod schema;
mod setup;
mod single;
mod status;
mod validate;
mod version;

use std::ffi::OsString;

use bf_core::report::{Exit, Failure};
use clap::Subcommand;

use crate::cli::Context;
use crate::tether;

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
    /// Try what this machine, or its cluster, can do, and say what to do about what it cannot
    Doctor(doctor::Doctor),
    /// The container images of the cache
    #[command(subcommand)]
    Image(image::Image),
    /// The models of the cache
    #[command(subcommand)]
    Model(model::Model),
    /// Who can read the cache
    #[command(subcommand)]
    Permissions(permissions::Permissions),
    /// Print the JSON Schema of a file
    Schema(schema::Schema),
    /// Show the version
    Version,
    /// Run a program that ends with whoever started this
    #[command(hide = true, name = tether::VERB)]
    Tethered {
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

/// Runs one.
pub(crate) fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(init) => init.run(context),
        Command::Validate(validate) => validate.run(context),
        Command::Setup(setup) => setup.run(context),
        Command::Status(status) => status.run(context),
        Command::Doctor(doctor) => doctor.run(context),
        Command::Image(image) => image.run(context),
        Command::Tethered { command } => tether::run(&command),
        Command::Model(model) => model.run(context),
        Command::Permissions(permissions) => permissions.run(context),
        Command::Schema(schema) => schema.run(context),
        Command::Version => version::run(context),
    }
}
