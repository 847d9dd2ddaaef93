//! `schema`: the JSON Schema of a file, for editors and other programs.

use std::io::{self, Write};

use bf_core::report::{Exit, Failure, Report};
use bf_core::shape;
use bf_core::site::{Declared, Locked};
use bf_core::spec::ResourceSpecs;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::Context;

/// Options of `schema`.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Which file
    #[arg(value_enum, default_value_t = File::Site)]
    file: File,
}

/// A file that has a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum File {
    /// site.yaml
    Site,
    /// resource_specs.yaml
    ResourceSpecs,
    /// site.lock
    SiteLock,
}

/// The schema, which is JSON for people as well.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Printed(serde_json::Value);

impl Report for Printed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &self.0)?;
        writeln!(out)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.text(out)
    }
}

impl Schema {
    /// Prints it.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let (title, map) = match self.file {
            File::Site => ("site.yaml", Declared::shape()),
            File::ResourceSpecs => ("resource_specs.yaml", ResourceSpecs::shape()),
            File::SiteLock => ("site.lock", Locked::shape()),
        };
        context.printer.print(&Printed(shape::json_schema(title, map)))?;
        Ok(Exit::Ok)
    }
}
