//! A native engine: the modes of its files, and what no installation put among them.

use std::collections::BTreeSet;
use std::path::Path;

use bf_core::publish::{Content, clear};
use bf_core::site::{LockedEngine, Part};

use super::Fault;
use super::look::{Look, entries, is_folder, strange};

pub(super) fn engine(look: &Look<'_>, id: &str, own: &LockedEngine) -> Vec<Fault> {
    let folder = look.layout.engine(id, &own.version);
    let mut faults = Vec::new();
    if clear(look.layout, &folder).is_err() || !is_folder(&folder) {
        return faults; // told with its files
    }
    if let Some(parent) = folder.parent() {
        look.access(&mut faults, parent, Content::Data);
    }
    let files: BTreeSet<&Path> = own.files.iter().map(|file| Path::new(&file.path)).collect();
    let folders: BTreeSet<&Path> = files.iter().flat_map(|file| file.ancestors().skip(1)).collect();
    walk(look, &mut faults, &folder, Path::new(""), &files, &folders);
    faults
}

fn walk(
    look: &Look<'_>,
    faults: &mut Vec<Fault>,
    root: &Path,
    below: &Path,
    files: &BTreeSet<&Path>,
    folders: &BTreeSet<&Path>,
) {
    // `join("")` would end in a slash.
    let folder = if below == Path::new("") { root.to_owned() } else { root.join(below) };
    look.access(faults, &folder, Content::Data);
    for path in entries(&folder) {
        let Ok(below) = path.strip_prefix(root) else { continue };
        if is_folder(&path) {
            if folders.contains(below) {
                walk(look, faults, root, below, files, folders);
                continue;
            }
        } else if files.contains(below) {
            let content = if below.starts_with("bin") { Content::Program } else { Content::Data };
            look.access(faults, &path, content);
            continue;
        }
        faults.push(strange(Part::Engines, &path, "installation"));
    }
}
