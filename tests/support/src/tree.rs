//! A folder as it is at one moment, to see what a command changed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// One file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Type and permission bits.
    pub mode: u32,
    /// Length; 0 for folders, whose length says nothing.
    pub bytes: u64,
    /// Modification time in nanoseconds.
    pub modified: i128,
    /// Target of a link.
    pub link: Option<PathBuf>,
}

/// Everything below a folder, by relative path, without the private parts of a cache (`.staging`, `.locks`, `audit.jsonl`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(BTreeMap<PathBuf, Entry>);

impl Tree {
    /// Takes it. What disappears while it is taken is left out.
    pub fn of(root: &Path) -> Self {
        let private = |name: &std::ffi::OsStr| {
            [".staging", ".locks", ".quarantine", "audit.jsonl"].iter().any(|own| name == *own)
        };
        let walk = WalkDir::new(root).follow_links(false).into_iter();
        let entries = walk.filter_entry(|entry| !private(entry.file_name())).filter_map(Result::ok);
        let of = |entry: walkdir::DirEntry| {
            let meta = entry.metadata().ok()?;
            let path = entry.path().strip_prefix(root).ok()?.to_owned();
            let modified = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
            let bytes = if meta.is_dir() { 0 } else { meta.len() };
            let link = meta.is_symlink().then(|| fs_err::read_link(entry.path()).ok()).flatten();
            Some((path, Entry { mode: meta.mode(), bytes, modified, link }))
        };
        Self(entries.filter_map(of).collect())
    }

    /// The entries by relative path.
    pub fn entries(&self) -> &BTreeMap<PathBuf, Entry> {
        &self.0
    }

    /// What differs, one line each; empty if nothing does.
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, entry) in &self.0 {
            match later.0.get(path) {
                None => lines.push(format!("- {}", path.display())),
                Some(other) if other != entry => {
                    lines.push(format!("~ {} {entry:?} -> {other:?}", path.display()));
                }
                Some(_) => {}
            }
        }
        let new = later.0.keys().filter(|path| !self.0.contains_key(*path));
        lines.extend(new.map(|path| format!("+ {}", path.display())));
        lines
    }
}
