//! Whether all that a plan writes fits, taken together: each step alone may, where all of them do not.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bf_core::report::{Exit, Failure, human_bytes};
use bf_core::site::{Layout, Part};
use nix::sys::statvfs::statvfs;

use crate::plan::{Action, Step};

/// What a filesystem has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    device: u64,
    bytes: u64,
    /// Inodes, where it has a limit of them.
    entries: Option<u64>,
}

/// How a refusal goes on that knows how much is needed.
const NEEDS: &str = ": it needs ";

const HINT: &str =
    "free some on that filesystem (`df` and `df -i` show what is used up) and run the command again";

/// Lets the steps fail that find no room behind those in front of them. What is fetched has no length beforehand, and is
/// not counted.
pub(crate) fn fit(layout: &Layout, steps: Vec<Step>) -> Vec<Step> {
    fit_into(layout, steps, room)
}

fn fit_into(layout: &Layout, steps: Vec<Step>, room: impl Fn(&Path) -> Option<Room>) -> Vec<Step> {
    let mut all: BTreeMap<u64, Room> = BTreeMap::new();
    let mut fitting = |step: Step| {
        let folder = folder(layout, step.action.kind);
        let Some(free) = room(&folder).filter(|_| step.needs > 0 || step.entries > 0) else { return step };
        let left = all.entry(free.device).or_insert(free);
        let entries = left.entries.map(|entries| entries.checked_sub(step.entries));
        match (left.bytes.checked_sub(step.needs), entries) {
            (Some(bytes), None) => {
                left.bytes = bytes;
                step
            }
            (Some(bytes), Some(Some(entries))) => {
                (left.bytes, left.entries) = (bytes, Some(entries));
                step
            }
            (Some(_), Some(None)) => few_entries(&step, &folder, free, *left),
            (None, _) => refused(&step, &folder, free.bytes, left.bytes),
        }
    };
    steps.into_iter().map(&mut fitting).collect()
}

fn refused(step: &Step, folder: &Path, free: u64, left: u64) -> Step {
    let others = if left == free {
        String::new()
    } else {
        format!(", and the steps before it need {} of that", human_bytes(free - left))
    };
    let failure = failure(folder, step.needs, &shown(&step.action), free, &others);
    Step::fail(step.action.kind, step.action.name.clone(), step.action.change, &failure)
}

fn few_entries(step: &Step, folder: &Path, free: Room, left: Room) -> Step {
    let (free, left) = (free.entries.unwrap_or(0), left.entries.unwrap_or(0));
    let others = if left == free {
        String::new()
    } else {
        format!(", and the steps before it need {} of those", free - left)
    };
    let message = format!(
        "there are not enough inodes for {}: it needs about {}, the filesystem of {} has {free}{others}",
        shown(&step.action),
        step.entries,
        folder.display()
    );
    let failure = Failure::new(Exit::CannotCreate, "no_space", message).with_hint(HINT);
    Step::fail(step.action.kind, step.action.name.clone(), step.action.change, &failure)
}

/// `model org/name`.
fn shown(action: &Action) -> String {
    format!("{} {}", action.kind, action.name)
}

/// Refuses what does not fit on the filesystem of a folder that may not exist yet. `what`: `model org/name`.
pub(crate) fn check(folder: &Path, needed: u64, what: &str) -> Result<(), Failure> {
    match room(folder) {
        Some(Room { bytes, .. }) if needed > bytes => Err(failure(folder, needed, what, bytes, "")),
        _ => Ok(()),
    }
}

/// Bytes that the filesystem of a folder, which may not exist yet, has left; nothing when it cannot be asked.
pub(crate) fn free(folder: &Path) -> Option<u64> {
    room(folder).map(|room| room.bytes)
}

fn failure(folder: &Path, needed: u64, what: &str, free: u64, others: &str) -> Failure {
    let message = format!(
        "there is no space for {what}{NEEDS}{}, {} has {}{others}",
        human_bytes(needed),
        folder.display(),
        human_bytes(free)
    );
    Failure::new(Exit::CannotCreate, "no_space", message).with_hint(HINT)
}

/// Says of what there was not enough, where a step found none while it wrote. What it has written must still be there.
pub(crate) fn explained(layout: &Layout, action: &Action, failure: Failure) -> Failure {
    // What was found out before anything was written says how much is missing, and nothing is full.
    if failure.code != "no_space" || failure.message.contains(NEEDS) {
        return failure;
    }
    let folder = folder(layout, action.kind);
    out_of(action, &folder, room(&folder), &failure)
}

fn out_of(action: &Action, folder: &Path, room: Option<Room>, failure: &Failure) -> Failure {
    let (what, folder) = (shown(action), folder.display());
    let out = |message, hint: &str| Failure::new(Exit::CannotCreate, "no_space", message).with_hint(hint);
    if failure.message.to_lowercase().contains("quota exceeded") {
        let user = bf_core::host::user();
        let message = format!(
            "there is no space for {what}: a quota is used up at {folder}, that of {user}, of a group, or of the folder"
        );
        return out(message, "free some of it, or ask for more, and run the command again");
    }
    if room.is_some_and(|room| room.entries == Some(0)) {
        let message =
            format!("there are not enough inodes for {what}: the filesystem of {folder} has none left");
        return out(message, HINT);
    }
    let message = format!("there is no space for {what}: the filesystem of {folder} is full");
    out(message, failure.hint.as_deref().filter(|hint| hint.contains("times")).unwrap_or(HINT))
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
    // Those that make inodes as they are needed say that they have none at all.
    let entries = (stat.files() > 0).then(|| stat.files_available());
    let bytes = stat.blocks_available().saturating_mul(stat.fragment_size());
    Some(Room { device, bytes, entries })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Change, Task};

    fn on(device: u64, bytes: u64) -> Room {
        Room { device, bytes, entries: None }
    }

    #[test]
    fn inodes_count_as_well_where_there_is_a_limit() {
        let layout = Layout::new("/c");
        let step =
            |name: &str| Step::new("model", name, Change::Import, "", Task::Site(String::new())).making(10);
        let told = |entries| {
            let steps = fit_into(&layout, vec![step("a/one"), step("a/two")], |_| {
                Some(Room { device: 1, bytes: 0, entries })
            });
            steps.into_iter().filter_map(|step| step.action.message).collect::<Vec<_>>()
        };
        assert!(told(None).is_empty() && told(Some(20)).is_empty());
        let message = "there are not enough inodes for model a/two: it needs about 10, the filesystem of /c/models has 19, and the steps before it need 10 of those";
        assert_eq!(told(Some(19)), [message]);
    }

    #[test]
    fn what_was_used_up_while_writing_is_named() {
        let action = Step::new("model", "a/b", Change::Import, "", Task::Keep).action;
        let told = |number: i32, entries| {
            let room = Some(Room { device: 1, bytes: 0, entries });
            let error = io::Error::from_raw_os_error(number);
            out_of(&action, Path::new("/c/models"), room, &error.into()).message
        };
        let full = nix::libc::ENOSPC;
        assert!(told(full, Some(5)).ends_with("model a/b: the filesystem of /c/models is full"));
        assert!(told(full, Some(0)).contains("not enough inodes for model a/b"));
        assert!(told(nix::libc::EDQUOT, Some(0)).contains("a quota is used up at /c/models, that of "));
    }

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
        let failures = failed(|_| Some(on(1, 100)));
        assert_eq!(failures.len(), 2, "{failures:?}");
        let message = "there is no space for model a/two: it needs 50 B, /c/models has 100 B, and the steps before it need 70 B of that";
        assert_eq!((failures[0].message.as_str(), failures[0].exit), (message, Exit::CannotCreate));
        // Images on a filesystem of their own.
        let apart = |path: &Path| Some(on(u64::from(path.ends_with("images")), 100));
        assert_eq!(failed(apart).len(), 1);
        assert_eq!(failed(|_| Some(on(1, 200))), []);
    }
}
