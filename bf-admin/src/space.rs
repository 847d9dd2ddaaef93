//! Whether all that a plan writes fits, taken together: each step alone may, where all of them do not.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bf_core::report::{Exit, Failure, human_bytes};
use bf_core::site::{Layout, Part};
use nix::sys::statvfs::statvfs;

use crate::plan::Step;

/// A filesystem: its device and its free bytes.
type Room = (u64, u64);

/// Lets the steps fail that find no room behind those in front of them. What is fetched has no length beforehand, and is
/// not counted.
pub(crate) fn fit(layout: &Layout, steps: Vec<Step>) -> Vec<Step> {
    fit_into(layout, steps, room)
}

fn fit_into(layout: &Layout, steps: Vec<Step>, room: impl Fn(&Path) -> Option<Room>) -> Vec<Step> {
    let mut all: BTreeMap<u64, u64> = BTreeMap::new();
    let mut fitting = |step: Step| {
        let folder = folder(layout, step.action.kind);
        let Some((device, free)) = room(&folder).filter(|_| step.needs > 0) else { return step };
        let left = all.entry(device).or_insert(free);
        match left.checked_sub(step.needs) {
            Some(rest) => {
                *left = rest;
                step
            }
            None => refused(&step, &folder, free, *left),
        }
    };
    steps.into_iter().map(&mut fitting).collect()
}

fn refused(step: &Step, folder: &Path, free: u64, left: u64) -> Step {
    let (kind, name) = (step.action.kind, &step.action.name);
    let others = if left == free {
        String::new()
    } else {
        format!(", and the steps before it need {} of that", human_bytes(free - left))
    };
    let failure = failure(folder, step.needs, &format!("{kind} {name}"), free, &others);
    Step::fail(kind, name.clone(), step.action.change, &failure)
}

/// Refuses what does not fit on the filesystem of a folder that may not exist yet. `what`: `model org/name`.
pub(crate) fn check(folder: &Path, needed: u64, what: &str) -> Result<(), Failure> {
    match room(folder) {
        Some((_, free)) if needed > free => Err(failure(folder, needed, what, free, "")),
        _ => Ok(()),
    }
}

fn failure(folder: &Path, needed: u64, what: &str, free: u64, others: &str) -> Failure {
    let message = format!(
        "there is no space for {what}: it needs {}, {} has {}{others}",
        human_bytes(needed),
        folder.display(),
        human_bytes(free)
    );
    Failure::new(Exit::CannotCreate, "no_space", message)
        .with_hint("free space on that filesystem and run the command again")
}

/// Where a step of this kind writes.
fn folder(layout: &Layout, kind: &str) -> PathBuf {
    let part = match kind {
        "model" => Part::Models,
        "image" => Part::Images,
        "engine" => Part::Engines,
        "toolkit" => Part::Toolkit,
        _ => Part::Top,
    };
    layout.part(part)
}

/// The filesystem of a folder; nothing when it cannot be asked.
fn room(folder: &Path) -> Option<Room> {
    let existing = folder.ancestors().find(|folder| folder.exists())?;
    let device = fs_err::metadata(existing).ok()?.dev();
    let stat = statvfs(existing).map_err(io::Error::from).ok()?;
    Some((device, stat.blocks_available().saturating_mul(stat.fragment_size())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Change, Task};

    #[test]
    fn steps_fit_together_or_the_last_ones_fail() {
        let layout = Layout::new("/c");
        let step = |kind, name: &str, needs| {
            Step::new(kind, name, Change::Import, "", Task::Site(String::new())).writing(needs)
        };
        let steps = || {
            vec![
                step("toolkit", "bf-user", 10),
                step("model", "a/one", 60),
                step("model", "a/two", 50),
                step("image", "three", 50),
                step("model", "a/four", 20),
            ]
        };
        let failed = |room: fn(&Path) -> Option<Room>| {
            let steps = fit_into(&layout, steps(), room);
            let failed = steps.into_iter().filter_map(|step| match step.task {
                Task::Fail(failure) => Some(failure),
                _ => None,
            });
            failed.collect::<Vec<_>>()
        };
        // Each fits alone.
        let failures = failed(|_| Some((1, 100)));
        assert_eq!(failures.len(), 2, "{failures:?}");
        let message = "there is no space for model a/two: it needs 50 B, /c/models has 100 B, and the steps before it need 70 B of that";
        assert_eq!((failures[0].message.as_str(), failures[0].exit), (message, Exit::CannotCreate));
        // Images on a filesystem of their own.
        let apart = |path: &Path| Some((u64::from(path.ends_with("images")), 100));
        assert_eq!(failed(apart).len(), 1);
        assert_eq!(failed(|_| Some((1, 200))), []);
    }
}
