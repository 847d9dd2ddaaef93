//! The two streams: results on stdout, talk on stderr.

use std::io::{self, Write};

use bf_core::report::{Failure, Finding, Format, Report, Severity, one_line, render_failure};

/// Prints in the format that the user chose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    format: Format,
}

impl Printer {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// The format that the user chose.
    pub(crate) fn format(self) -> Format {
        self.format
    }

    /// Prints a result.
    pub(crate) fn report(self, report: &impl Report) -> Result<(), Failure> {
        bf_core::report::print(report, self.format, io::stdout().lock())
    }

    /// Says something about what is going on; not with `--quiet`.
    pub(crate) fn note(self, text: &str) {
        if self.format != Format::Quiet {
            let _ = writeln!(io::stderr(), "{}", one_line(text));
        }
    }

    /// Says what was noticed on the way.
    pub(crate) fn findings(self, findings: &[Finding]) {
        for finding in findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            self.note(&format!("{severity}: {}", finding.message));
            if let Some(hint) = &finding.hint {
                self.note(&format!("hint: {hint}"));
            }
        }
    }

    /// Says why a command failed: with `--json` as a document on stdout, else on stderr.
    pub(crate) fn failure(self, failure: &Failure) {
        let said =
            self.format == Format::Json && render_failure(failure, self.format, &mut io::stdout()).is_ok();
        if !said {
            let _ = render_failure(failure, Format::Text, &mut io::stderr());
        }
    }
}
