//! The files of one revision: where they are, how long, and whether they are all there.

use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// How deep folders are read; the Hub's repositories have three or four levels.
const MAX_DEPTH: usize = 16;

/// The most entries that are read of one snapshot.
const MAX_ENTRIES: usize = 100_000;

/// A file of a snapshot, a real one or a link into `blobs/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Its path below the snapshot's folder, with `/` between the parts.
    pub path: String,
    /// Its length in bytes; nothing when this user may not see it.
    pub bytes: Option<u64>,
    /// Where to open it.
    pub file: PathBuf,
}

/// What a snapshot's folder holds.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The files, by name.
    pub files: Vec<SnapshotFile>,
    /// Links whose file is not there, as paths below the snapshot's folder.
    pub dangling: Vec<String>,
    /// The first file or folder that this user may not read, with the reason.
    pub closed: Option<(PathBuf, io::Error)>,
    /// The first link that leads out of the boundary, and where to.
    pub foreign: Option<(PathBuf, PathBuf)>,
}

impl Snapshot {
    /// The file at `path` below the snapshot's folder.
    pub fn file(&self, path: &str) -> Option<&SnapshotFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// Lists what is in `folder`. Links may lead to any regular file below `boundary`, which has no links in it
/// (`canonicalize`). Names that are no text, or would upset a terminal, are left out, as are sockets and the like.
///
/// # Errors
/// When the folder itself cannot be read.
pub fn read(folder: &Path, boundary: &Path) -> io::Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    let real = fs_err::canonicalize(folder)?;
    if !real.starts_with(boundary) {
        snapshot.foreign = Some((folder.to_owned(), real));
        return Ok(snapshot);
    }
    fs_err::read_dir(folder)?;
    for entry in WalkDir::new(folder)
        .min_depth(1)
        .max_depth(MAX_DEPTH)
        .sort_by_file_name()
        .into_iter()
        .take(MAX_ENTRIES)
    {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                snapshot.close(path, error.into());
                continue;
            }
        };
        if let Some(name) = plain_name(entry.path(), folder) {
            snapshot.add(entry.path(), name, boundary);
        }
    }
    Ok(snapshot)
}

impl Snapshot {
    fn add(&mut self, path: &Path, name: String, boundary: &Path) {
        let real = match fs_err::canonicalize(path) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.close(path.to_owned(), error);
                self.files.push(SnapshotFile { path: name, bytes: None, file: path.to_owned() });
                return;
            }
            Err(_) => return self.dangling.push(name),
        };
        if !real.starts_with(boundary) {
            self.foreign.get_or_insert((path.to_owned(), real));
            return;
        }
        match fs_err::metadata(&real) {
            Ok(metadata) if metadata.is_file() => {
                self.files.push(SnapshotFile {
                    path: name,
                    bytes: Some(metadata.len()),
                    file: path.to_owned(),
                });
            }
            // A folder is walked into unless it is a link, and then its files are found at their own place.
            Ok(_) => {}
            Err(error) => self.close(path.to_owned(), error),
        }
    }

    fn close(&mut self, path: PathBuf, error: io::Error) {
        self.closed.get_or_insert((path, error));
    }
}

fn plain_name(path: &Path, folder: &Path) -> Option<String> {
    let name = path.strip_prefix(folder).ok()?.to_str()?;
    (!name.chars().any(char::is_control)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::Cache;

    #[test]
    fn links_files_and_folders_are_listed() {
        let cache = Cache::new();
        cache
            .linked("m", "c", "a/b.json", b"12")
            .linked("m", "c", "z", b"123")
            .file("m/snapshots/c/real", b"1");
        cache.link("m/snapshots/c/gone", "../../blobs/gone").link("m/snapshots/c/self", "self");
        let boundary = fs_err::canonicalize(cache.path("m")).unwrap();
        let snapshot = read(&cache.path("m/snapshots/c"), &boundary).unwrap();
        let names: Vec<_> = snapshot.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
        assert_eq!(names, [("a/b.json", Some(2)), ("real", Some(1)), ("z", Some(3))]);
        assert_eq!(snapshot.dangling, ["gone", "self"]);
        assert!(snapshot.foreign.is_none() && snapshot.closed.is_none());
        assert!(snapshot.file("z").is_some() && snapshot.file("gone").is_none());
    }

    #[test]
    fn links_out_of_the_model_are_found() {
        let cache = Cache::new();
        cache
            .file("m/snapshots/c/a", b"1")
            .file("other/secret", b"1")
            .link("m/snapshots/c/b", "../../../other/secret");
        cache.link("m/snapshots/d", "../../other");
        let boundary = fs_err::canonicalize(cache.path("m")).unwrap();
        assert!(read(&cache.path("m/snapshots/c"), &boundary).unwrap().foreign.is_some());
        assert!(read(&cache.path("m/snapshots/d"), &boundary).unwrap().foreign.is_some());
        assert!(read(&cache.path("m/snapshots/none"), &boundary).is_err());
    }
}
