//! Compares what came out with what should: entry by entry, with all that can be seen of one.

use std::fmt::Write as _;

use super::tree::{ImageEntry, ImageTree, Kind};

/// Whose files are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Owners {
    /// Those that the layers say.
    #[default]
    Exact,
    /// Root's, all of them: what Apptainer makes of an image for an ordinary user.
    Root,
}

/// What a SIF may have that no layer has, and what it may have otherwise.
///
/// The links and folders at the top are those that Apptainer adds to every image (`internal/pkg/build/assemblers`, `sources/base_environment.go`).
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Whose files are expected.
    pub owners: Owners,
    /// Paths about which nothing is said: whatever is there, or is not, may be, and below them. The empty path is the root alone.
    pub anything: Vec<Vec<u8>>,
    /// Folders whose time may be any: who unpacks onto a disk touches a folder when he removes from it what a marker hides.
    pub any_time: Vec<Vec<u8>>,
    /// That it was unpacked onto a disk and packed by `mksquashfs`: folders that no layer names have the mode of a umask, and symbolic links
    /// are no hard links of each other.
    pub unpacked: bool,
}

/// Links that a SIF has at its top.
const LINKS: [(&str, &str); 6] = [
    ("singularity", ".singularity.d/runscript"),
    (".run", ".singularity.d/actions/run"),
    (".exec", ".singularity.d/actions/exec"),
    (".test", ".singularity.d/actions/test"),
    (".shell", ".singularity.d/actions/shell"),
    ("environment", ".singularity.d/env/90-environment.sh"),
];
/// Folders that a SIF has where the image has none.
const FOLDERS: [&str; 9] = ["dev", "proc", "root", "var", "var/tmp", "tmp", "etc", "sys", "home"];
/// Files that it has, empty, for the system to mount others over.
const EMPTY: [&str; 2] = ["etc/hosts", "etc/resolv.conf"];

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// One line for each difference.
    pub differences: Vec<String>,
    /// What a SIF adds, with mode and link text.
    pub added: Vec<String>,
}

impl Comparison {
    /// Compares a SIF's tree with what its image should be.
    pub fn of_sif(expected: &ImageTree, found: &ImageTree, allowed: &Allowed) -> Self {
        let mut comparison = Self::default();
        for (path, entry) in &expected.0 {
            if anything(allowed, path) {
                continue;
            }
            match found.0.get(path) {
                None => comparison.differences.push(format!("missing: {}", shown(path))),
                Some(found) => comparison.entry(path, entry, found, allowed),
            }
        }
        for (path, entry) in &found.0 {
            if expected.0.contains_key(path) || anything(allowed, path) {
                continue;
            }
            let line = format!("{} {:?} {:04o} {}", shown(path), entry.kind, entry.mode, shown(&entry.link));
            if is_added(path, entry) {
                comparison.added.push(line.trim_end().to_owned());
            } else {
                comparison.differences.push(format!("too much: {line}"));
            }
        }
        comparison
    }

    /// Compares two trees of which each must be as the other.
    pub fn exact(expected: &ImageTree, found: &ImageTree) -> Self {
        let mut comparison = Self::of_sif(expected, found, &Allowed::default());
        let added = comparison.added.drain(..).map(|line| format!("too much: {line}"));
        comparison.differences.extend(added);
        comparison
    }

    /// Expects no difference; else says the first of them.
    #[track_caller]
    pub fn none(&self) {
        let count = self.differences.len();
        let lines: Vec<_> = self.differences.iter().take(40).map(String::as_str).collect();
        assert!(count == 0, "{count} differences:\n{}", lines.join("\n"));
    }

    fn entry(&mut self, path: &[u8], expected: &ImageEntry, found: &ImageEntry, allowed: &Allowed) {
        if is_replaced(path, found) {
            return;
        }
        let mut line = String::new();
        let mut compare =
            |what: &str, same: bool, expected: &dyn std::fmt::Debug, found: &dyn std::fmt::Debug| {
                if !same {
                    let _ = write!(line, "; {what} {found:?} instead of {expected:?}");
                }
            };
        let (one, other) = (expected, found);
        compare("type", one.kind == other.kind, &one.kind, &other.kind);
        let octal = |mode: u32| format!("{mode:04o}");
        let any_mode =
            one.kind == Kind::Symlink || (allowed.unpacked && one.mtime.is_none() && other.mode == 0o775);
        compare("mode", one.mode == other.mode || any_mode, &octal(one.mode), &octal(other.mode));
        let owner = if allowed.owners == Owners::Root { (0, 0) } else { (one.uid, one.gid) };
        compare("owner", owner == (other.uid, other.gid), &owner, &(other.uid, other.gid));
        compare("length", one.bytes == other.bytes, &one.bytes, &other.bytes);
        // Squashfs has seconds from 1970 to 2106.
        let time = one.mtime.map(|time| time.clamp(0, u32::MAX.into()));
        let any_time = time.is_none() || allowed.any_time.iter().any(|folder| folder == path);
        compare("time", any_time || time == other.mtime, &time, &other.mtime);
        compare("link", one.link == other.link, &shown(&one.link), &shown(&other.link));
        compare("bytes", one.sum == other.sum, &"those", &"others");
        compare("device", one.device == other.device, &one.device, &other.device);
        compare("attributes", one.xattrs == other.xattrs, &names(one), &names(other));
        let any_group = allowed.unpacked && one.kind == Kind::Symlink;
        compare("names of the file", one.group == other.group || any_group, &group(one), &group(other));
        if !line.is_empty() {
            self.differences.push(format!("{}: {}", shown(path), &line[2..]));
        }
    }
}

fn names(entry: &ImageEntry) -> Vec<String> {
    entry.xattrs.iter().map(|(name, value)| format!("{}={}", shown(name), value.escape_ascii())).collect()
}

fn group(entry: &ImageEntry) -> Option<String> {
    entry.group.as_deref().map(shown)
}

fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn anything(allowed: &Allowed, path: &[u8]) -> bool {
    allowed.anything.iter().any(|folder| is_below(path, folder))
}

/// What a SIF has more than its image.
fn is_added(path: &[u8], entry: &ImageEntry) -> bool {
    is_below(path, b".singularity.d")
        || (entry.kind == Kind::Folder && FOLDERS.iter().any(|folder| folder.as_bytes() == path))
        || (entry.kind == Kind::File && entry.bytes == 0 && EMPTY.iter().any(|file| file.as_bytes() == path))
        || is_replaced(path, entry)
}

/// What a SIF has in place of whatever its image has there.
fn is_replaced(path: &[u8], entry: &ImageEntry) -> bool {
    entry.kind == Kind::Symlink
        && LINKS.iter().any(|(name, text)| name.as_bytes() == path && text.as_bytes() == entry.link)
}
