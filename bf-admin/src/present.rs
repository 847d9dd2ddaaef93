//! What is on disk: compared with site.lock by sizes and links, or by every digest.

pub(crate) mod ahead;
mod journal;
mod models;

pub(crate) use journal::Journal;
pub(crate) use models::{loadable, locked_blobs, locked_model, locked_revision, source};

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use bf_core::bounded::{self, Links};
use bf_core::model::ModelId;
use bf_core::publish;
use bf_core::report::{Exit, Failure};
use bf_core::service::{self, Native};
use bf_core::settings::Environment;
use bf_core::site::{Layout, Locked, LockedEngine, LockedFile};
use bf_core::spec::ResourceSpecs;
use bf_core::spec::parse::MAX_BYTES;
use walkdir::WalkDir;

use crate::drift::{self, Aim, Closed, Drift, Readers};
use crate::engine::{self, Interpreter};
use crate::image::How;
use crate::image::{self, ImageFacts};
use crate::import::{Download, Files, Reach};
use crate::locate::Site;
use crate::plan::{self, Section};
use crate::session;
use crate::toolkit::{self, ToolkitFacts};

/// How closely files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// They are there, with their size, nothing is among them that is not theirs, and links are as they were made.
    Quick,
    /// And their SHA-256 is that of the lock.
    Full,
}

/// Files of the lock as they are on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Disk {
    /// None of it is there, or nothing is locked.
    Absent,
    /// All of it.
    Whole,
    /// Why it is not what the lock says, though whole.
    Drifted(String),
    /// Why it cannot be used.
    Damaged(String),
}

/// The tiers beside site.yaml and in the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Specs {
    /// The file beside site.yaml and its text, or what is wrong with it; nothing where there is none.
    pub(crate) source: Option<(PathBuf, Result<String, Failure>)>,
    /// The text in the cache.
    pub(crate) published: Option<String>,
}

/// An engine that is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineFacts {
    /// The package of its definition.
    pub(crate) native: Result<Native, Failure>,
    /// The files of the lock.
    pub(crate) disk: Disk,
    /// Whether the Python that its launcher names is there.
    pub(crate) python_is_there: bool,
    /// The real path of the Python that is declared, where one is.
    pub(crate) python: Option<PathBuf>,
    /// The Python to install with, looked for when it must be installed.
    pub(crate) interpreter: Option<Result<Interpreter, Failure>>,
}

/// A model that is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelFacts {
    /// The files of the lock.
    pub(crate) disk: Disk,
    /// Whether it can be loaded, locked or not.
    pub(crate) loadable: bool,
    /// Whether the lock has it under the revision that is asked for.
    pub(crate) is_asked: bool,
    /// Whether it is to be compared with where it comes from.
    pub(crate) update: bool,
    /// What would be fetched of the Hub, asked for when something must be.
    pub(crate) download: Option<Result<Box<Download>, Failure>>,
    /// What would be imported, looked at when something must be.
    pub(crate) source: Option<Result<SourceFacts, Failure>>,
    /// Whom it is for.
    pub(crate) readers: Readers,
}

/// Files that can be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFacts {
    /// The files.
    pub(crate) source: Files,
    /// How much of them the cache does not have yet.
    pub(crate) needed: u64,
    /// Their commit; read only when it decides something.
    pub(crate) commit: Option<String>,
    /// Whether they are, with that commit, those of the lock.
    pub(crate) is_locked: bool,
}

/// All that the plan needs to know of the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Present {
    /// The tiers.
    pub(crate) specs: Specs,
    /// The text of the cache's site.yaml.
    pub(crate) site: Option<String>,
    /// Whether the declared site.yaml is that very file.
    pub(crate) site_is_copy: bool,
    /// The toolkit, where it was asked for.
    pub(crate) toolkit: Option<ToolkitFacts>,
    /// The declared images.
    pub(crate) images: BTreeMap<String, ImageFacts>,
    /// Those that are to be pulled again.
    pub(crate) update_images: BTreeSet<String>,
    /// The declared engines.
    pub(crate) engines: BTreeMap<String, EngineFacts>,
    /// The declared models.
    pub(crate) models: BTreeMap<ModelId, ModelFacts>,
    /// What of all that was changed by hand, besides bytes.
    pub(crate) drift: Vec<Drift>,
    /// The models that are not for everybody.
    pub(crate) closed: Vec<Closed>,
}

/// What is asked of [`gather`].
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// Models whose source is compared even if they are whole.
    pub(crate) models: BTreeSet<ModelId>,
    /// Images that are pulled again.
    pub(crate) images: BTreeSet<String>,
    /// How closely files are looked at.
    pub(crate) depth: Depth,
    /// The environment.
    pub(crate) environment: &'a Environment,
    /// The running bf-admin.
    pub(crate) program: &'a Path,
    /// How images are fetched.
    pub(crate) how: &'a How,
    /// Nothing else is looked at; empty: everything.
    pub(crate) only: &'a [Section],
    /// Whether nothing but what site.lock has is asked for.
    pub(crate) locked: bool,
}

/// Looks at everything that is declared and asked for.
pub(crate) fn gather(site: &Site, locked: &Locked, ask: &Ask<'_>) -> Result<Present, Failure> {
    let wanted = |section| ask.only.is_empty() || ask.only.contains(&section);
    let (layout, declared) = (&site.layout, &site.declared);
    let mut present = tops(site)?;
    if wanted(Section::Toolkit) {
        present.toolkit = Some(toolkit::gather(layout, locked, ask.program, ask.depth));
    }
    if wanted(Section::Images) {
        let place = image::Place::of(layout, Some(declared), ask.environment);
        let maker = Some((&place, ask.how));
        present.images = image::gather(layout, &declared.images, locked, &ask.images, ask.depth, maker);
        present.update_images.clone_from(&ask.images);
    }
    for (id, wanted) in declared.engines.iter().filter(|_| wanted(Section::Engines)) {
        let mut facts = engine(layout, locked, id, ask.depth);
        // One that does not run is told when it is to be installed with.
        facts.python = wanted.python.as_deref().and_then(|python| engine::named(python, layout.root()).ok());
        if plan::engine_need(wanted, locked.engines.get(id), &facts).is_some() {
            facts.interpreter = Some(
                engine_way(layout, id, &facts)
                    .and_then(|()| engine::find(wanted.python.as_deref(), layout.root(), ask.environment)),
            );
        }
        present.engines.insert(id.clone(), facts);
    }
    let policy = session::policy(Some(declared))?;
    present.drift = drift::gather(layout, declared, locked, policy, ask.only, Aim::Declared)?;
    present.closed = drift::offer(layout, declared, locked, Aim::Declared).1;
    // Who needs nothing of the Hub need not have a token that can be read.
    let reach = LazyCell::new(|| Reach::new(ask.environment, ask.how.bwlimit.unwrap_or_default()));
    for wanted in declared.models.iter().filter(|_| wanted(Section::Models)) {
        let hub = models::Hub {
            update: ask.models.contains(&wanted.repo),
            locked: ask.locked,
            reach: &|| (*reach).clone(),
        };
        let facts = models::model(layout, locked, wanted, &hub, ask.depth)?;
        present.models.insert(wanted.repo.clone(), facts);
    }
    Ok(present)
}

/// The files at the top of the cache and where they come from.
pub(crate) fn tops(site: &Site) -> Result<Present, Failure> {
    let folder = site.declared.path.parent().unwrap_or(Path::new("/"));
    let path = folder.join("resource_specs.yaml");
    let source = match fs_err::symlink_metadata(&path) {
        Ok(_) => {
            let text = ResourceSpecs::load_file(&path)
                .map_err(Failure::from)
                .and_then(|_| Ok(bounded::text(&path, MAX_BYTES as u64, Links::Follow)?));
            Some((path, text))
        }
        Err(_) => None,
    };
    Ok(Present {
        specs: Specs { source, published: text(&site.layout.resource_specs())? },
        site: text(&site.layout.site_yaml())?,
        site_is_copy: site.is_copy,
        ..Present::default()
    })
}

/// The text of a file that may be missing.
fn text(path: &Path) -> io::Result<Option<String>> {
    match bounded::text(path, MAX_BYTES as u64, Links::Follow) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An engine as it is defined and as it lies on disk.
pub(crate) fn engine(layout: &Layout, locked: &Locked, id: &str, depth: Depth) -> EngineFacts {
    let own = locked.engines.get(id);
    EngineFacts {
        native: native(layout, id),
        disk: own.map_or(Disk::Absent, |own| installed(layout, id, own, depth)),
        python_is_there: own.is_some_and(|own| Path::new(&own.python).is_file()),
        python: None,
        interpreter: None,
    }
}

/// The files of an engine as the lock has them. What else is there is looked at as drift, which moves it away.
fn installed(layout: &Layout, id: &str, own: &LockedEngine, depth: Depth) -> Disk {
    let folder = layout.engine(id, &own.version);
    match locked_engine(layout, id, own, depth) {
        Disk::Drifted(_) if publish::clear(layout, &folder).is_ok() => {
            leads_out(&folder, &own.files).map_or(Disk::Whole, Disk::Drifted)
        }
        other => other,
    }
}

/// A file of an engine that is a link to somewhere else.
fn leads_out(folder: &Path, locked: &[LockedFile]) -> Option<String> {
    let root = fs_err::canonicalize(folder).ok()?;
    let leads_out = |file: &&LockedFile| {
        !fs_err::canonicalize(folder.join(&file.path)).is_ok_and(|target| target.starts_with(&root))
    };
    let file = locked.iter().find(leads_out)?;
    Some(format!("{} is a link that leads out of the engine", file.path))
}

/// An engine as the lock has it, in its folder, with nothing else in it.
pub(crate) fn locked_engine(layout: &Layout, id: &str, own: &LockedEngine, depth: Depth) -> Disk {
    let folder = layout.engine(id, &own.version);
    if let Err(error) = publish::clear(layout, &folder) {
        return Disk::Drifted(error.to_string());
    }
    match files(&folder, &own.files, depth) {
        Disk::Whole => foreign(&folder, &own.files).map_or(Disk::Whole, Disk::Drifted),
        other => other,
    }
}

/// What is in a folder and is not in the lock, or leads out of the folder.
fn foreign(folder: &Path, locked: &[LockedFile]) -> Option<String> {
    let own: BTreeSet<&Path> = locked.iter().map(|file| Path::new(&file.path)).collect();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let Ok(entry) = entry else { return Some("its folder cannot be read".into()) };
        if entry.file_type().is_dir() {
            continue;
        }
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        if !own.contains(below) {
            return Some(format!("{} is foreign: no installation put it there", below.display()));
        }
        let inside =
            |target: PathBuf| fs_err::canonicalize(folder).is_ok_and(|root| target.starts_with(root));
        if entry.path_is_symlink() && !fs_err::canonicalize(entry.path()).is_ok_and(inside) {
            return Some(format!("{} is a link that leads out of the engine", below.display()));
        }
    }
    None
}

/// Whether the folder that an engine is installed into is not a link.
fn engine_way(layout: &Layout, id: &str, facts: &EngineFacts) -> Result<(), Failure> {
    let Ok(native) = &facts.native else { return Ok(()) };
    Ok(publish::clear(layout, &layout.engine(id, &native.version))?)
}

/// The package of an engine's definition.
pub(crate) fn native(layout: &Layout, id: &str) -> Result<Native, Failure> {
    let engine = service::engine(Some(layout), id)?;
    engine.native.ok_or_else(|| {
        let message = format!("the engine {id} runs in a container only");
        Failure::new(Exit::Invalid, "engine_not_native", message)
            .with_hint("in site.yaml, declare it under `images` instead of `engines`")
    })
}

/// Compares one file of the lock, which is no link.
pub(crate) fn one_file(folder: &Path, name: &str, sha256: &str, bytes: u64, depth: Depth) -> Disk {
    match fs_err::symlink_metadata(folder.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Disk::Absent,
        Ok(meta) if meta.is_symlink() => Disk::Damaged(format!("{name} is a link")),
        _ => {
            let file = LockedFile { path: name.to_owned(), sha256: sha256.to_owned(), bytes, blob: None };
            files(folder, std::slice::from_ref(&file), depth)
        }
    }
}

/// Compares the files of the lock with those in `folder`.
pub(crate) fn files(folder: &Path, locked: &[LockedFile], depth: Depth) -> Disk {
    if fs_err::symlink_metadata(folder).is_err() {
        return Disk::Absent;
    }
    for file in locked {
        let path = folder.join(&file.path);
        // Follows links: what they lead to must be there.
        match fs_err::metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() == file.bytes => {}
            Ok(metadata) => {
                let (is, was) = (metadata.len(), file.bytes);
                return Disk::Damaged(format!("{} has {is} bytes instead of {was}", file.path));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Disk::Damaged(format!("{} is missing", file.path));
            }
            Err(error) => return Disk::Damaged(error.to_string()),
        }
        if depth == Depth::Full {
            match ahead::sha256(&path) {
                Ok(sha256) if sha256 == file.sha256 => {}
                Ok(_) => return Disk::Damaged(format!("{} is not what site.lock says (SHA-256)", file.path)),
                Err(error) => return Disk::Damaged(error.to_string()),
            }
        }
    }
    Disk::Whole
}

#[cfg(test)]
mod tests {
    use bf_core::digest;

    use super::*;

    #[test]
    fn a_change_of_the_same_length_is_found_by_the_digest() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("a"), "one").unwrap();
        let locked =
            [LockedFile { path: "a".into(), sha256: digest::of_bytes(b"one"), bytes: 3, blob: None }];
        assert_eq!(files(dir.path(), &locked, Depth::Full), Disk::Whole);
        fs_err::write(dir.path().join("a"), "two").unwrap();
        assert_eq!(files(dir.path(), &locked, Depth::Quick), Disk::Whole);
        assert!(matches!(files(dir.path(), &locked, Depth::Full), Disk::Damaged(_)));
        fs_err::remove_file(dir.path().join("a")).unwrap();
        assert_eq!(files(dir.path(), &locked, Depth::Quick), Disk::Damaged("a is missing".into()));
        assert_eq!(files(&dir.path().join("none"), &locked, Depth::Quick), Disk::Absent);
    }

    #[test]
    fn what_no_installation_put_into_an_engine_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(fs_err::canonicalize(dir.path()).unwrap());
        let folder = layout.engine("e", "1");
        fs_err::create_dir_all(folder.join("lib")).unwrap();
        fs_err::write(folder.join("lib/a.so"), "one").unwrap();
        let files = vec![LockedFile {
            path: "lib/a.so".into(),
            sha256: digest::of_bytes(b"one"),
            bytes: 3,
            blob: None,
        }];
        let own = LockedEngine {
            version: "1".into(),
            package: "p".into(),
            sha256: vec![],
            python: "/usr/bin/python3".into(),
            files,
        };
        let drift = || match locked_engine(&layout, "e", &own, Depth::Quick) {
            Disk::Drifted(why) => why,
            other => format!("{other:?}"),
        };
        assert_eq!(drift(), "Whole");
        fs_err::write(folder.join("lib/sitecustomize.py"), "").unwrap();
        assert_eq!(drift(), "lib/sitecustomize.py is foreign: no installation put it there");
        fs_err::remove_file(folder.join("lib/sitecustomize.py")).unwrap();
        fs_err::rename(folder.join("lib/a.so"), dir.path().join("a.so")).unwrap();
        fs_err::os::unix::fs::symlink(dir.path().join("a.so"), folder.join("lib/a.so")).unwrap();
        assert_eq!(drift(), "lib/a.so is a link that leads out of the engine");
        fs_err::rename(&folder, dir.path().join("moved")).unwrap();
        fs_err::os::unix::fs::symlink(dir.path().join("moved"), &folder).unwrap();
        assert!(drift().contains("is a link to"), "{}", drift());
    }
}
