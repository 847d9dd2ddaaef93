//! `bf-user logs`

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use bf_core::report::{Exit, Failure, Format};
use bf_core::settings::Settings;
use clap::Args;

use super::block_on;
use crate::job::JobDir;
use crate::printer::Printer;
use crate::status::{self, Scene};
use crate::store::{Record, Store};

/// Between two looks for more.
const PERIOD: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Id of the service, its beginning, or the name
    id: String,
    /// Go on until the service ends
    #[arg(short, long)]
    follow: bool,
    /// What the supervisor said, not the engine
    #[arg(long)]
    supervisor: bool,
}

pub(crate) fn run(args: &LogsArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let store = Store::open(&settings.home_dir)?;
    let record = store.find(&args.id)?;
    let dir = JobDir::of(record.home_dir.as_ref(), &record.id);
    let path = if args.supervisor { dir.supervisor_log() } else { dir.engine_log() };
    let mut log = Log { at: 0, pending: Vec::new() };
    let mut said = false;
    let scene = Scene::of(&settings.home_dir);
    loop {
        // Looked at first: what was written before the end is then shown.
        let live = args.follow && is_live(&record, &scene)?;
        while let Some(text) = log.more(&path, !live)? {
            said = true;
            if !show(&text, printer)? {
                return Ok(Exit::Ok);
            }
        }
        if !live {
            break;
        }
        std::thread::sleep(PERIOD);
    }
    if !said && !args.supervisor {
        said = of_script(&dir, printer)?;
    }
    if !said {
        let yet = if is_live(&record, &scene)? { " yet" } else { "" };
        printer.note(&format!("nothing was said{yet}"));
    }
    Ok(Exit::Ok)
}

/// Where the engine never spoke, the job script may have, or Slurm.
fn of_script(dir: &JobDir, printer: Printer) -> Result<bool, Failure> {
    let Some(own) = dir.slurm().ok().flatten() else { return Ok(false) };
    let lines = JobDir::last_lines(&dir.slurm_log(&own.job)).unwrap_or_default();
    if lines.is_empty() {
        return Ok(false);
    }
    printer.note("the engine said nothing; of the job script there is:");
    show(&format!("{}\n", lines.join("\n")), printer)?;
    Ok(true)
}

fn is_live(record: &Record, scene: &Scene) -> Result<bool, Failure> {
    Ok(block_on(status::derive(record, &scene.again(), false))?.state.is_live())
}

/// How far a log was read.
struct Log {
    at: u64,
    /// The beginning of a line whose end is not written yet.
    pending: Vec<u8>,
}

impl Log {
    /// The next whole lines, or, at the `last` look, what there is. `None` if there is no more.
    fn more(&mut self, path: &Path, last: bool) -> Result<Option<String>, Failure> {
        const PIECE: u64 = 256 * 1024;
        let mut file = match fs_err::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        io::Seek::seek(&mut file, io::SeekFrom::Start(self.at))?;
        let read = file.take(PIECE).read_to_end(&mut self.pending)?;
        self.at += read as u64;
        let whole = match self.pending.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            // A line longer than a piece, or the last one, is shown as far as it goes.
            None if read > 0 && self.pending.len() as u64 >= PIECE => self.pending.len(),
            None if last => self.pending.len(),
            None => 0,
        };
        let lines: Vec<u8> = self.pending.drain(..whole).collect();
        Ok((!lines.is_empty()).then(|| String::from_utf8_lossy(&lines).into_owned()))
    }
}

/// Prints lines: as they are, or with `--json` each as a document. Tells whether anybody still listens.
fn show(text: &str, printer: Printer) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    let result = match printer.format() {
        Format::Json => {
            text.lines().try_for_each(|line| writeln!(out, "{}", serde_json::json!({"line": line})))
        }
        _ => out.write_all(text.as_bytes()),
    };
    match result.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_when_it_is_whole_or_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log { at: 0, pending: Vec::new() };
        assert_eq!(log.more(&path, false).unwrap(), None);
        fs_err::write(&path, "one\ntw").unwrap();
        assert_eq!(log.more(&path, false).unwrap().as_deref(), Some("one\n"));
        assert_eq!(log.more(&path, false).unwrap(), None);
        fs_err::write(&path, "one\ntwo\nthree").unwrap();
        assert_eq!(log.more(&path, false).unwrap().as_deref(), Some("two\n"));
        assert_eq!(log.more(&path, true).unwrap().as_deref(), Some("three"));
        assert_eq!(log.more(&path, true).unwrap(), None);
    }
}
