//! A model: its folders, its links, and what no import put among them. Earlier revisions are left alone until they are pruned: jobs
//! may read them. One that somebody else made is none.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bf_core::bounded::{self, Links};
use bf_core::model::ModelId;
use bf_core::model::store::{self, blob_link};
use bf_core::publish::Content;
use bf_core::site::{LockedModel, Part, RevisionOf};

use super::look::{Look, entries, is_folder, strange};
use super::{Fault, Mend};
use crate::present::{self, Depth, Disk};

const PART: Part = Part::Models;
const WHO: &str = "import";
/// The longest file that names a revision, in bytes.
const NAME: u64 = 4096;

/// `whole`: all blobs of the revision that users get are there, so that links can be made again; else an import makes them.
pub(super) fn model(look: &Look<'_>, id: &ModelId, own: &LockedModel, whole: bool) -> Vec<Fault> {
    let folder = store::folder(look.layout, id);
    let mut faults = Vec::new();
    if store::clear(look.layout, &folder).is_err() || !is_folder(&folder) {
        return faults; // told with its files
    }
    look.access(&mut faults, &folder, Content::Model);
    for path in entries(&folder) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name {
            "blobs" | "refs" | "snapshots" => look.access(&mut faults, &path, Content::Model),
            _ => faults.push(strange(PART, &path, WHO)),
        }
    }
    let locked: BTreeSet<OsString> =
        own.all().flat_map(|own| own.files).map(|file| OsString::from(file.blob_name())).collect();
    let mut used = locked.clone();
    let all: BTreeMap<PathBuf, (RevisionOf<'_>, bool)> = revisions(look, id, &folder, own, whole);
    let mut commits: BTreeSet<String> = own.all().map(|own| own.commit.to_owned()).collect();
    let mut seen = BTreeSet::new();
    for path in entries(&folder.join("snapshots")) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match all.get(&path) {
            Some((own, whole)) if is_folder(&path) => {
                snapshot(look, &mut faults, &path, own, *whole);
                seen.insert(path);
            }
            None if is_folder(&path) && is_commit(&name) && is_ours(look, &path) => {
                earlier(look, &mut faults, &path, &mut used);
                commits.insert(name);
            }
            _ => faults.push(strange(PART, &path, WHO)),
        }
    }
    for (path, (own, whole)) in all.iter().filter(|(path, (_, whole))| *whole && !seen.contains(*path)) {
        snapshot(look, &mut faults, path, own, *whole);
    }
    for path in entries(&folder.join("blobs")) {
        let is_file = fs_err::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
        let name = path.file_name().unwrap_or_default();
        // What only an earlier revision uses no digest of the lock vouches for.
        let is_used = used.contains(name) && (locked.contains(name) || is_ours(look, &path));
        if is_used && is_file {
            look.access(&mut faults, &path, Content::Model);
        } else if is_used {
            let what = "is no file, where a blob must be".to_owned();
            faults.push(Fault { path: path.clone(), what, mend: Mend::Quarantine(PART, path) });
        } else {
            faults.push(strange(PART, &path, WHO));
        }
    }
    refs(look, &mut faults, &folder.join("refs"), own, &commits, &all);
    records(look, &mut faults, &look.layout.model_records().join(id.folder_name()), &commits);
    faults
}

/// What the Hub said of these commits is for those that the model is for.
fn records(look: &Look<'_>, faults: &mut Vec<Fault>, folder: &Path, commits: &BTreeSet<String>) {
    look.access(faults, folder, Content::Data);
    for path in entries(folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_one = name.strip_suffix(".json").is_some_and(|commit| commits.contains(commit));
        let is_file = fs_err::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
        if is_one && is_file {
            look.access(faults, &path, Content::Data);
        } else {
            faults.push(strange(PART, &path, WHO));
        }
    }
}

/// The revisions of the lock by their snapshots, each with whether all its blobs are there.
fn revisions<'a>(
    look: &Look<'_>,
    id: &ModelId,
    folder: &Path,
    own: &'a LockedModel,
    whole: bool,
) -> BTreeMap<PathBuf, (RevisionOf<'a>, bool)> {
    let blobs = |own: &RevisionOf<'_>| present::locked_blobs(look.layout, id, Some(*own), Depth::Quick);
    let mut all: BTreeMap<_, _> = own
        .all()
        .skip(1)
        .map(|own| (folder.join("snapshots").join(own.commit), (own, blobs(&own) == Disk::Whole)))
        .collect();
    all.insert(folder.join("snapshots").join(&own.commit), (own.main(), whole));
    all
}

fn is_commit(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether nobody else than the cache's owner, root or whoever runs this made a thing and all that is in it. By that an earlier revision is
/// known as one that an import published: nobody can make what belongs to another.
fn is_ours(look: &Look<'_>, path: &Path) -> bool {
    let good = [0, look.owner, nix::unistd::geteuid().as_raw()];
    walkdir::WalkDir::new(path).follow_links(false).into_iter().all(|entry| {
        let owner = entry.and_then(|entry| entry.metadata()).map(|metadata| metadata.uid());
        owner.is_ok_and(|uid| good.contains(&uid))
    })
}

/// The snapshot of the lock: the links to its blobs and the folders they are in.
fn snapshot(look: &Look<'_>, faults: &mut Vec<Fault>, root: &Path, own: &RevisionOf<'_>, whole: bool) {
    let mut wanted: BTreeMap<PathBuf, PathBuf> =
        own.files.iter().map(|file| (root.join(&file.path), blob_link(file))).collect();
    let folders: BTreeSet<PathBuf> = wanted
        .keys()
        .flat_map(|path| path.ancestors().skip(1).take_while(|folder| folder.starts_with(root)))
        .map(Path::to_owned)
        .collect();
    walk(look, faults, root, &mut wanted, &folders, whole);
    // What is left is missing.
    for (at, target) in wanted.into_iter().filter(|_| whole) {
        faults.push(Fault {
            what: "is missing".into(),
            mend: Mend::Link(PART, at.clone(), target, look.policy),
            path: at,
        });
    }
}

fn walk(
    look: &Look<'_>,
    faults: &mut Vec<Fault>,
    folder: &Path,
    wanted: &mut BTreeMap<PathBuf, PathBuf>,
    folders: &BTreeSet<PathBuf>,
    whole: bool,
) {
    look.access(faults, folder, Content::Model);
    for path in entries(folder) {
        if is_folder(&path) && folders.contains(&path) {
            walk(look, faults, &path, wanted, folders, whole);
            continue;
        }
        let Some(target) = wanted.remove(&path) else {
            faults.push(strange(PART, &path, WHO));
            continue;
        };
        let is = fs_err::read_link(&path).ok();
        if is.as_ref() == Some(&target) {
            look.access(faults, &path, Content::Model);
        } else if whole {
            let what = match &is {
                Some(other) => format!("leads to {} instead of its blob", other.display()),
                None => "is a copy instead of a link to its blob".into(),
            };
            if is.is_none() {
                let mend = Mend::Quarantine(PART, path.clone());
                faults.push(Fault { path: path.clone(), what: what.clone(), mend });
            }
            faults.push(Fault { what, mend: Mend::Link(PART, path.clone(), target, look.policy), path });
        }
    }
}

/// Modes of a revision that the lock does not name any more, and which blobs it uses.
fn earlier(look: &Look<'_>, faults: &mut Vec<Fault>, folder: &Path, used: &mut BTreeSet<OsString>) {
    look.uncovered(faults, folder, Content::Model);
    for path in entries(folder) {
        if is_folder(&path) {
            earlier(look, faults, &path, used);
        } else {
            look.uncovered(faults, &path, Content::Model);
            let target = fs_err::read_link(&path).ok();
            used.extend(target.as_deref().and_then(Path::file_name).map(OsString::from));
        }
    }
}

/// `main` and the other names of revisions of the lock, and names of earlier revisions that are there.
fn refs(
    look: &Look<'_>,
    faults: &mut Vec<Fault>,
    folder: &Path,
    own: &LockedModel,
    commits: &BTreeSet<String>,
    all: &BTreeMap<PathBuf, (RevisionOf<'_>, bool)>,
) {
    let is_file = |path: &Path| fs_err::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let names: BTreeMap<PathBuf, &str> =
        own.refs().map(|(name, commit)| (folder.join(name), commit)).collect();
    let known = |path: &Path| {
        is_file(path)
            && bounded::text(path, NAME, Links::Refuse).is_ok_and(|text| commits.contains(text.trim()))
    };
    let is_ref = |path: &Path| names.contains_key(path);
    for path in entries(folder).into_iter().filter(|path| !is_ref(path)) {
        let mut below = walkdir::WalkDir::new(&path).into_iter().flatten();
        let is_good = |entry: walkdir::DirEntry| {
            entry.file_type().is_dir() || is_ref(entry.path()) || known(entry.path())
        };
        if is_ours(look, &path) && below.all(is_good) {
            for entry in walkdir::WalkDir::new(&path).into_iter().flatten() {
                look.uncovered(faults, entry.path(), Content::Model);
            }
        } else {
            faults.push(strange(PART, &path, WHO));
        }
    }
    let whole = |commit: &str| all.values().any(|(own, whole)| own.commit == commit && *whole);
    for (path, commit) in names {
        if is_file(&path) {
            look.access(faults, &path, Content::Model);
        }
        if whole(commit) && !store::leads_to(&path, commit) {
            let what = "does not name the revision of site.lock".to_owned();
            if is_folder(&path) {
                let mend = Mend::Quarantine(PART, path.clone());
                faults.push(Fault { path: path.clone(), what: what.clone(), mend });
            }
            let mend = Mend::File(PART, path.clone(), commit.to_owned(), look.policy);
            faults.push(Fault { path, what, mend });
        }
    }
}
