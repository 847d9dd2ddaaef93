//! What a command costs: time, processors, memory, disk, with all that it starts.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

/// How often the scratch folder is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What a command took. Medians are those of each number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cost {
    /// Until what was made was flushed.
    pub(crate) wall: Duration,
    /// Of all its processes, system and user.
    pub(crate) cpu: Duration,
    /// What the largest of its processes had resident at most, in bytes.
    pub(crate) memory: u64,
    /// The most that the scratch folder held at once, without what was made, in bytes.
    pub(crate) disk: u64,
    /// Length of the file that was made, in bytes; nothing for a folder.
    pub(crate) file: u64,
}

impl Cost {
    pub(crate) fn median(costs: &[Self]) -> Self {
        fn middle<T: Ord + Copy + Default>(costs: &[Cost], of: impl Fn(&Cost) -> T) -> T {
            let mut values: Vec<T> = costs.iter().map(of).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or_default()
        }
        Self {
            wall: middle(costs, |cost| cost.wall),
            cpu: middle(costs, |cost| cost.cpu),
            memory: middle(costs, |cost| cost.memory),
            disk: middle(costs, |cost| cost.disk),
            file: middle(costs, |cost| cost.file),
        }
    }
}

/// Runs a command to its end and flushes what it made (the file `out`, or the filesystem of the folder `out`), by another process of
/// this program, whose only child it is.
pub(crate) fn measure(words: &[OsString], scratch: &Path, out: &Path) -> Result<Cost, String> {
    // What the one before left to be written is not this one's.
    nix::unistd::sync();
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(own);
    command.arg("measure-child").arg(out).args(words);
    // A file takes whatever it says, while nobody reads.
    let said = scratch.join("said");
    let errors = fs_err::File::create(&said).map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors.into_file());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let disk = watch(&mut child, scratch, out);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = fs_err::read(&said).unwrap_or_default();
        return Err(String::from_utf8_lossy(&said).lines().last().unwrap_or("it says nothing").to_owned());
    }
    let told: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let number = |name: &str| told[name].as_u64().unwrap_or(0);
    Ok(Cost {
        wall: Duration::from_micros(number("wall_us")),
        cpu: Duration::from_micros(number("cpu_us")),
        memory: number("memory"),
        disk,
        file: fs_err::metadata(out).ok().filter(std::fs::Metadata::is_file).map_or(0, |meta| meta.len()),
    })
}

/// The most that was in the folder while the process lived.
fn watch(child: &mut Child, scratch: &Path, out: &Path) -> u64 {
    let mut most = 0;
    while matches!(child.try_wait(), Ok(None)) {
        most = most.max(held(scratch, out));
        std::thread::sleep(LOOK);
    }
    most
}

/// Bytes on disk below a folder, without `out`.
fn held(folder: &Path, out: &Path) -> u64 {
    let Ok(entries) = fs_err::read_dir(folder) else { return 0 };
    let of = |entry: fs_err::DirEntry| match entry.metadata() {
        _ if entry.path() == out => 0,
        Ok(meta) if meta.is_dir() => held(&entry.path(), out),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(of).sum()
}

/// The other process: runs the command, flushes, and says on standard output what it took.
pub(crate) fn child(words: &[OsString]) -> ExitCode {
    let [out, program, arguments @ ..] = words else { return ExitCode::from(64) };
    let begun = Instant::now();
    let done = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    let flushed = flush(Path::new(out));
    let wall = begun.elapsed();
    if !done.is_ok_and(|status| status.success()) {
        return ExitCode::FAILURE;
    }
    if let Err(error) = flushed {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let told = json!({
        "wall_us": u64::try_from(wall.as_micros()).unwrap_or(u64::MAX),
        "cpu_us": micros(usage.user_time()) + micros(usage.system_time()),
        // The kernel counts kilobytes.
        "memory": usage.max_rss() * 1024,
    });
    println!("{told}");
    ExitCode::SUCCESS
}

/// Until it is on the disk: a file, or all of a folder.
fn flush(path: &Path) -> std::io::Result<()> {
    let file = fs_err::File::open(path)?;
    if file.metadata()?.is_dir() {
        // Its filesystem, of which nothing else is waiting: that was flushed before.
        Ok(nix::unistd::syncfs(&file)?)
    } else {
        file.sync_all()
    }
}
