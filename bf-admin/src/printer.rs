//! Where results, talk and failures go: data to stdout, talk to stderr.

use std::io::{self, Write};

use bf_core::progress::{Display, Mode};
use bf_core::report::{Exit, Failure, Finding, Format, Report, one_line, render_failure};

use crate::progress;

/// Says things in the format that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    format: Format,
    progress: Mode,
}

impl Printer {
    /// Says things in `format`.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, progress: Mode::Auto }
    }

    /// Shows the progress of work in this way.
    #[must_use]
    pub(crate) fn showing(self, progress: Mode) -> Self {
        Self { progress, ..self }
    }

    /// What shows the progress of work.
    pub(crate) fn display(self) -> Display {
        progress::display(self.progress, self.format == Format::Quiet)
    }

    /// Writes a result to stdout.
    pub(crate) fn print(self, report: &impl Report) -> Result<(), Failure> {
        bf_core::report::print(report, self.format, io::stdout().lock())
    }

    /// Says what somebody who waits should know.
    pub(crate) fn progress(self, text: &str) {
        if self.format != Format::Quiet {
            talk(&format!("{}\n", one_line(text)));
        }
    }

    /// Says a failure that is part of a result: to stderr, unless the JSON document has it.
    pub(crate) fn partial_failure(self, failure: &Failure) {
        if self.format != Format::Json {
            let _ = render_failure(failure, self.format, &mut io::stderr().lock());
        }
    }

    /// Ends a command: says its failure, if it failed, and gives the exit code.
    pub(crate) fn finish(self, result: Result<Exit, Failure>) -> Exit {
        match result {
            Ok(exit) => exit,
            Err(failure) => {
                // A closed stream leaves only the exit code to tell it.
                let _ = match self.format {
                    Format::Json => render_failure(&failure, self.format, &mut io::stdout().lock()),
                    _ => render_failure(&failure, self.format, &mut io::stderr().lock()),
                };
                failure.exit
            }
        }
    }
}

/// Says what is probably not meant, also when quiet.
pub(crate) fn warning(message: &str, hint: Option<&str>) {
    talk(&format!("warning: {}\n", one_line(message)));
    if let Some(text) = hint {
        self::hint(text);
    }
}

/// Says what to do about what was said before.
pub(crate) fn hint(text: &str) {
    talk(&format!("hint: {}\n", one_line(text)));
}

/// Says a finding as a warning, with its place.
pub(crate) fn finding(finding: &Finding) {
    let place = match (&finding.file, finding.line, finding.column) {
        (Some(file), Some(line), Some(column)) => format!("{}:{line}:{column}: ", file.display()),
        (Some(file), ..) => format!("{}: ", file.display()),
        (None, ..) => String::new(),
    };
    warning(&format!("{place}{}", finding.message), finding.hint.as_deref());
}

/// A closed stderr is no reason to stop working.
fn talk(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
