//! Which program this is: the result of `version`.

use std::io::{self, Write};

use serde::Serialize;

use super::Report;

/// A program's name and version.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Version {
    /// The program's name.
    pub name: &'static str,
    /// As in its Cargo.toml.
    pub version: &'static str,
}

impl Report for Version {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} {}", self.name, self.version)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.version)
    }
}
