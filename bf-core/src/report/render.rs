//! Turns a report into text, JSON or next to nothing. Writes to what it is given; the binaries own the streams.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::shown::{Plain, one_line};
use super::{Exit, Failure};

/// How the user wants results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For eyes.
    Text,
    /// One JSON document on stdout.
    Json,
    /// Only what a script needs: ids, or nothing.
    Quiet,
}

/// The result of a command: one JSON document, or text for eyes.
pub trait Report: Serialize {
    /// Writes it for a person.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;

    /// Writes what `--quiet` leaves: by default nothing.
    fn quiet(&self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// Writes `report` in `format` to a stream of the process, all of it. A reader that has gone (`| head`) has seen enough.
pub fn print(report: &impl Report, format: Format, out: impl Write) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(out);
    match render(report, format, &mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            Err(Failure::new(Exit::Failed, "output_failed", format!("the result cannot be written: {error}")))
        }
        Ok(()) => Ok(()),
    }
}

/// Writes `report` in `format`.
fn render(report: &impl Report, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Text => report.text(&mut Plain::new(out)),
        Format::Quiet => report.quiet(&mut Plain::new(out)),
        // Whole or not at all: a failure behind a half of it would be no document either.
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(report)?),
    }
}

/// Writes a failure: as JSON `{"error": {...}}`, else as `error: ...` and `hint: ...` lines.
pub fn render_failure(failure: &Failure, format: Format, out: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        error: &'a Failure,
    }
    if format == Format::Json {
        return writeln!(out, "{}", serde_json::to_string_pretty(&Document { error: failure })?);
    }
    writeln!(out, "error: {}", one_line(&failure.message))?;
    match &failure.hint {
        Some(hint) => writeln!(out, "hint: {}", one_line(hint)),
        None => Ok(()),
    }
}

/// Writes a plain table: a header in capitals, columns two blanks apart, no lines.
pub fn table(
    out: &mut dyn Write,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for row in rows {
        table.add_row(row.iter().map(|cell| one_line(cell).into_owned()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Bytes for eyes, in powers of ten as everywhere in this project: `98.4 MB`.
pub fn human_bytes(bytes: u64) -> String {
    scaled(bytes, &["kB", "MB", "GB", "TB"]).unwrap_or_else(|| format!("{bytes} B"))
}

/// A number for eyes, as people who speak of parameters write it: `8.0 B` are billions.
pub fn human_count(number: u64) -> String {
    scaled(number, &["k", "M", "B", "T"]).unwrap_or_else(|| number.to_string())
}

/// A number from a thousand up, in the largest of `units` that leaves something in front of the point.
#[allow(clippy::cast_precision_loss)] // one decimal is shown
fn scaled(number: u64, units: &[&str]) -> Option<String> {
    if number < 1000 {
        return None;
    }
    let mut value = number as f64 / 1000.0;
    let mut rest = units;
    while let [_, larger @ ..] = rest
        && value >= 999.95
        && !larger.is_empty()
    {
        value /= 1000.0;
        rest = larger;
    }
    Some(format!("{value:.1} {}", rest.first()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_cannot_be_serialised_leaves_no_half_of_it_and_a_text_none_that_a_terminal_obeys() {
        #[derive(Serialize)]
        struct Hostile {
            name: &'static str,
            path: std::path::PathBuf,
        }
        impl Report for Hostile {
            fn text(&self, out: &mut dyn Write) -> io::Result<()> {
                table(out, &["NAME"], [vec![format!("{}\n", self.name)]])?;
                writeln!(out, "{}", self.name)
            }
        }
        use std::os::unix::ffi::OsStringExt;
        let path = std::ffi::OsString::from_vec(vec![0xff]).into();
        let report = Hostile { name: "a\x1b[31mb", path };
        let mut out = Vec::new();
        assert!(render(&report, Format::Json, &mut out).is_err());
        assert!(out.is_empty());
        render(&report, Format::Text, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME\na\\u{1b}[31mb\\n\na\\u{1b}[31mb\n");

        let failure = Failure::new(Exit::Failed, "x", "one\ntwo\x1b").with_hint("a\rb");
        let mut out = Vec::new();
        render_failure(&failure, Format::Text, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "error: one\\ntwo\\u{1b}\nhint: a\\rb\n");
    }

    #[test]
    fn bytes_are_shown_in_powers_of_ten() {
        assert_eq!(human_bytes(999), "999 B");
        assert_eq!(human_bytes(1_000), "1.0 kB");
        assert_eq!(human_bytes(98_362_432), "98.4 MB");
        assert_eq!(human_bytes(999_960_000), "1.0 GB");
        assert_eq!(human_bytes(5_000_000_000_000_000), "5000.0 TB");
        assert_eq!(human_count(8_030_261_248), "8.0 B");
        assert_eq!((human_count(999), human_count(134_515_008)), ("999".into(), "134.5 M".into()));
    }
}
