//! Finds programs.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

/// The file that the program `name` is, by the folders of `path`, which are separated by `:`. Relative ones are passed over: they would
/// be other people's.
pub fn find_program(name: &str, path: &str) -> Option<PathBuf> {
    let folders = path.split(':').map(Path::new).filter(|folder| folder.is_absolute());
    let runs = |file: &PathBuf| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
    folders.map(|folder| folder.join(name)).find(runs)
}
