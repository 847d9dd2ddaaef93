//! The images of the cache against those that are declared.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bf_core::image::{STRAY_HINT, sif};
use bf_core::site::{Declared, Layout, Locked, LockedImage};

use super::{Item, State, item, setup, undeclared};
use crate::image::{self, ImageFacts, Need};
use crate::present::{Depth, Disk};

const KIND: &str = "image";

pub(super) fn images(
    items: &mut Vec<Item>,
    layout: &Layout,
    declared: &Declared,
    locked: &Locked,
    depth: Depth,
) {
    let all = image::gather(layout, &declared.images, locked, &BTreeSet::new(), depth, None);
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    let mut entries: BTreeSet<&str> = BTreeSet::new();
    for (name, facts) in &all {
        if let Ok(wanted) = &facts.wanted {
            seen.insert(layout.image_link(&wanted.sif_name()));
        }
        entries.extend(facts.own.as_ref().map(|(name, _)| name.as_str()));
        items.push(one(layout, name, facts).mended_by(|| setup(depth)));
    }
    for (name, own) in &locked.images {
        let path = layout.root().join(&own.sif);
        // An entry whose name now means another image is told there.
        if !entries.contains(name.as_str()) && !all.contains_key(name) {
            let disk = image::locked_image(layout, own, depth);
            // What stands in the way is not replaced by any command of ours.
            let way = || {
                let failure =
                    image::way(layout, &own.sif).and_then(|()| image::store_way(layout, own)).err()?;
                failure.hint
            };
            let again = || match own.whole() {
                Some(from) => format!("`bf-admin image pull {from} --as {name} --force` mends it"),
                None => {
                    format!("`bf-admin image import FILE --as {name}` mends it, from the file it came from")
                }
            };
            let again = || way().unwrap_or_else(again);
            items.extend(undeclared(KIND, name, &path, disk).map(|item| item.mended_by(again)));
            seen.insert(path);
        } else if all.contains_key(name) {
            seen.insert(path);
        }
    }
    for path in files(&layout.images()).into_iter().filter(|path| !seen.contains(path)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        items.push(stray(name, path));
    }
    unused(items, layout, locked);
}

/// A file that somebody put there: users can run it if it is whole.
fn stray(name: String, path: PathBuf) -> Item {
    let is_sif = path.extension().is_some_and(|end| end == "sif");
    let fault = is_sif.then(|| sif::read(&path).err()).flatten();
    let detail = fault.as_ref().map_or_else(
        || "not declared".to_owned(),
        |fault| format!("not declared, and no image that can be run: {fault}"),
    );
    let hint = fault.map(|_| format!("{}: {STRAY_HINT}", path.display()));
    Item { hint, ..item(KIND, name, path, State::Unmanaged, detail) }
}

/// What is in the store and no entry of site.lock names: what updates left for jobs that run, or anything else.
fn unused(items: &mut Vec<Item>, layout: &Layout, locked: &Locked) {
    const DETAIL: &str = "not used by any image: `bf-admin image prune` removes it when no job uses it";
    let store = layout.image_store();
    // What a link leads to is not ours to list; that it is one is told among the permissions.
    if !fs_err::symlink_metadata(&store).is_ok_and(|meta| meta.is_dir()) {
        return;
    }
    let used: BTreeSet<String> = locked.images.values().map(LockedImage::store_name).collect();
    let mut names: Vec<String> = fs_err::read_dir(&store)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !used.contains(name))
        .collect();
    names.sort();
    for name in names {
        let path = store.join(&name);
        items.push(item(KIND, format!(".store/{name}"), path, State::Unmanaged, DETAIL));
    }
}

fn one(layout: &Layout, name: &str, facts: &ImageFacts) -> Item {
    let wanted = match &facts.wanted {
        Ok(wanted) => wanted,
        Err(failure) => {
            let item = item(KIND, name, layout.images(), State::Drifted, failure.message.clone());
            return Item { hint: failure.hint.clone(), ..item };
        }
    };
    let path = layout.image_link(&wanted.sif_name());
    let own = facts.own.as_ref().map(|(_, own)| own);
    let (state, detail) = match (facts.need(name, false), &facts.disk) {
        (Need::Nothing, _) => (State::Present, own.map(|own| own.digest12().to_owned()).unwrap_or_default()),
        (Need::Link(why), _) => (State::Drifted, why),
        (Need::Pull(why), Disk::Damaged(_)) => (State::Damaged, why),
        (Need::Pull(_), _) if own.is_none() && fs_err::symlink_metadata(&path).is_ok() => {
            (State::Drifted, "not in site.lock: its bytes cannot be checked".into())
        }
        (Need::Pull(why), Disk::Absent) => (State::Missing, format!("{wanted}: {why}")),
        (Need::Pull(why), _) => (State::Drifted, format!("{wanted}: {why}")),
    };
    let hint = facts.way.as_ref().err().and_then(|failure| failure.hint.clone());
    Item { hint, ..item(KIND, name, path, state, detail) }
}

/// What users see in a folder that is no folder itself, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}
