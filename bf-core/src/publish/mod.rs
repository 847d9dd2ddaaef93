//! Stage, fsync, set modes, rename: the only way anything enters the cache.
//!
//! Nothing is ever visible half-done. Everything is made in the staging folder of its part of the cache (0700, same
//! device), flushed, given its modes whatever the umask, and renamed to its final name. A killed run leaves
//! only staged things, which the next holder of the lock removes.
//!
//! Immediately before each rename it is asked whether the lock is still held, and each rename is out of a folder, or into one, that
//! has the name of this holder's claim. Who takes over moves that folder away first, so that what was only paused publishes nothing:
//! see [`crate::lock`].

mod acl;
mod downloads;
mod folder;
mod left;
mod modes;
mod quarantine;
mod repair;
mod stage;
mod way;

pub use acl::has_acl;
#[cfg(test)]
pub(crate) use acl::testing::give as give_acl;
pub(crate) use acl::{ACCESS as ACL, DEFAULT as HANDED_DOWN};
pub use downloads::Downloads;
pub use modes::{Content, Policy, own_folder, private_folder, set_mode};
pub use repair::Access;
pub use stage::Stage;
pub use way::{PublishError, clear, clear_link, clear_parts, clear_these};

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::lock::{SiteGuard, refresh};
use crate::site::{Layout, Part};

/// Publishes into one cache, for as long as its lock is held.
#[derive(Debug)]
pub struct Publisher<'a> {
    guard: &'a SiteGuard,
    policy: Policy,
    /// Where this run moves strange things, by part: one folder, however many there are.
    quarantined: Arc<Mutex<BTreeMap<Part, PathBuf>>>,
}

impl<'a> Publisher<'a> {
    /// Removes what others have in the staging folders, runs that were killed and runs that were paused and have lost the lock; makes
    /// the folders of the parts, and is ready.
    ///
    /// Only now what is in the cache may be read: until here an older holder may have published something.
    pub fn new(guard: &'a SiteGuard, policy: Policy) -> Result<Self, PublishError> {
        Self::of_parts(guard, policy, &Part::ALL)
    }

    /// As [`Publisher::new`], for a cache of which only these parts are written to. The others are neither made nor looked at.
    pub fn of_parts(guard: &'a SiteGuard, policy: Policy, parts: &[Part]) -> Result<Self, PublishError> {
        let publisher = Self { guard, policy, quarantined: Arc::default() };
        let layout = publisher.layout();
        clear_these(layout, parts)?;
        for part in parts.iter().copied() {
            publisher.folder(&layout.part(part))?;
            let staging = layout.staging(part);
            folder::private_below(layout.root(), &staging)?;
            left::clean(guard, &staging)?;
        }
        guard.check()?;
        // What another host has changed a moment ago this one may not know yet.
        for path in [layout.root(), &layout.site_lock(), &layout.site_yaml(), &layout.resource_specs()] {
            refresh(path);
        }
        for part in parts.iter().copied() {
            refresh(&layout.part(part));
        }
        Ok(publisher)
    }

    /// The cache that is published into.
    pub fn layout(&self) -> &Layout {
        self.guard.layout()
    }

    /// Which modes and group things get.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The same publisher with other modes, as for what only a group may read.
    #[must_use]
    pub fn with(&self, policy: Policy) -> Self {
        Self { guard: self.guard, policy, quarantined: Arc::clone(&self.quarantined) }
    }

    /// Makes a folder that everybody may read, with every missing folder above it inside the cache.
    ///
    /// # Errors
    /// [`PublishError::InTheWay`] when something else than a folder is there, or on the way to it: a link would make us
    /// write somewhere else.
    pub fn folder(&self, path: &Path) -> Result<(), PublishError> {
        let root = self.layout().root();
        let folders = way::folders(root, path)?;
        let mut at = folder::root(root)?;
        for path in folders {
            let Some(name) = path.file_name() else { continue };
            if way::is_folder(&path)? {
                at = folder::enter(&at, name, &path)?;
                continue;
            }
            self.guard.check()?;
            let (made, is_new) = self.ours(folder::make(&at, name, &path, self.policy.folder()))?;
            if is_new {
                self.policy.seal_open(&made)?;
                flush_parent(&path)?;
            }
            at = made;
        }
        Ok(())
    }

    /// A new, empty staging folder in `part`. It is removed when dropped.
    ///
    /// # Errors
    /// [`PublishError::Lock`] when somebody has taken over: what would be made could not be published.
    pub fn stage(&self, part: Part) -> Result<Stage, PublishError> {
        self.guard.check()?;
        Ok(Stage::new(&self.layout().staging(part), &self.guard.claim())?)
    }

    /// Does what others will see, if the lock is still held.
    fn visibly(&self, act: impl FnOnce() -> io::Result<()>) -> Result<(), PublishError> {
        self.guard.check()?;
        self.ours(act())
    }

    /// When something failed because somebody has taken over meanwhile, that is the reason, and not the file that is gone.
    fn ours<T>(&self, result: io::Result<T>) -> Result<T, PublishError> {
        result.or_else(|error| {
            self.guard.check()?;
            Err(error.into())
        })
    }

    /// Publishes a staged file or folder under its final name, which must not exist yet or be a file.
    ///
    /// Flushes it and sets its modes first. The folder of the final name is made if it is missing.
    pub fn publish(&self, staged: &Path, to: &Path, content: Content) -> Result<(), PublishError> {
        self.ours(self.policy.seal(staged, content))?;
        way::below(self.layout().root(), to)?;
        if let Some(parent) = to.parent() {
            self.folder(parent)?;
        }
        self.visibly(|| folder::move_in(self.layout().root(), staged, to))?;
        Ok(flush_parent(to)?)
    }

    /// Publishes a small file with these bytes, replacing an older one at once.
    pub fn file(&self, part: Part, to: &Path, bytes: &[u8]) -> Result<(), PublishError> {
        let stage = self.stage(part)?;
        let staged = stage.path().join("file");
        self.ours(fs_err::write(&staged, bytes))?;
        self.publish(&staged, to, Content::Data)
    }

    /// Publishes a relative link at `at`, replacing an older link at once: who opens the name gets the one or the other.
    ///
    /// # Errors
    /// [`PublishError::InTheWay`] when something else is at `at`. Only a file that is the target itself, under a second
    /// name, gives way: nothing of it is lost.
    pub fn link(&self, part: Part, at: &Path, target: &Path) -> Result<(), PublishError> {
        way::below(self.layout().root(), at)?;
        let parent = at.parent().unwrap_or(self.layout().root());
        self.folder(parent)?;
        if !way::is_same_file(at, &parent.join(target)) {
            clear_link(at)?;
        }
        let stage = self.stage(part)?;
        let staged = stage.path().join("link");
        self.ours(fs_err::os::unix::fs::symlink(target, &staged))?;
        self.policy.seal_link(&staged)?;
        self.visibly(|| folder::move_in(self.layout().root(), &staged, at))?;
        Ok(flush_parent(at)?)
    }

    /// Moves a published thing out of sight into the staging folder of its part and removes it there, so that no
    /// reader ever sees a half of it.
    pub fn remove(&self, part: Part, path: &Path) -> Result<(), PublishError> {
        way::below(self.layout().root(), path)?;
        if let Some(parent) = path.parent() {
            clear(self.layout(), parent)?;
        }
        let stage = self.stage(part)?;
        let aside: PathBuf = stage.path().join("removed");
        self.visibly(|| folder::move_out(self.layout().root(), path, &aside))?;
        flush_parent(path)?;
        Ok(remove(&aside)?)
    }
}

/// Removes a file, a link, or a folder with all that is in it, also with folders that their owner may not change: what was
/// unpacked from an image has such.
fn remove(path: &Path) -> io::Result<()> {
    if !fs_err::symlink_metadata(path)?.is_dir() {
        return fs_err::remove_file(path);
    }
    match fs_err::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs_err::remove_dir_all(path)
        }
        result => result,
    }
}

/// Lets the owner into a folder and all folders below it. What is removed may be somebody else's, who has it open: no link is followed.
fn open_up(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let folder = folder::enter(folder::root(parent)?, name, path)?;
    let own = folder::by_number(&folder);
    set_mode(&own, 0o700)?;
    for entry in fs_err::read_dir(&own)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&own.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Makes a rename or a new name last through a power cut. Filesystems that cannot flush folders are let be.
fn flush_parent(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    match fs_err::File::open(parent)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn setup() -> (tempfile::TempDir, SiteGuard) {
        let dir = tempfile::tempdir().unwrap();
        let guard = SiteGuard::take(&Layout::new(dir.path())).unwrap();
        (dir, guard)
    }

    #[test]
    fn a_published_tree_has_the_modes_of_its_content() {
        let (_dir, guard) = setup();
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        for (content, plain, program) in
            [(Content::Data, 0o644, 0o755), (Content::Model, 0o755, 0o755), (Content::Program, 0o755, 0o755)]
        {
            let stage = publisher.stage(Part::Models).unwrap();
            let tree = stage.path().join("tree");
            fs_err::create_dir_all(tree.join("inner")).unwrap();
            for (name, bits) in [("plain", 0o600), ("program", 0o700)] {
                let file = tree.join("inner").join(name);
                fs_err::write(&file, name).unwrap();
                fs_err::set_permissions(&file, std::fs::Permissions::from_mode(bits)).unwrap();
            }
            let to = publisher.layout().models().join(format!("{content:?}"));
            publisher.publish(&tree, &to, content).unwrap();
            assert_eq!(mode(&to.join("inner")), 0o755);
            assert_eq!(mode(&to.join("inner/plain")), plain);
            assert_eq!(mode(&to.join("inner/program")), program);
        }
        assert_eq!(mode(&publisher.layout().staging(Part::Models)), 0o700);
    }

    #[test]
    fn what_a_killed_run_left_is_removed_by_the_next() {
        let (_dir, guard) = setup();
        let left = guard.layout().staging(Part::Models).join("left/inner");
        fs_err::create_dir_all(&left).unwrap();
        fs_err::write(left.join("file"), "half").unwrap();
        for (folder, mode) in [(left.as_path(), 0o000), (left.parent().unwrap(), 0o500)] {
            set_mode(folder, mode).unwrap(); // keeps an ordinary owner from removing what is in it
        }
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        let staging = publisher.layout().staging(Part::Models);
        assert_eq!(fs_err::read_dir(staging).unwrap().count(), 0);
    }

    #[test]
    fn a_file_is_replaced_at_once() {
        let (_dir, guard) = setup();
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        let path = publisher.layout().resource_specs();
        publisher.file(Part::Top, &path, b"one").unwrap();
        publisher.file(Part::Top, &path, b"two").unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "two");
        assert_eq!(mode(&path), 0o644);
    }

    #[test]
    fn a_link_is_switched_at_once_and_replaces_nothing_else() {
        let (_dir, guard) = setup();
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        let (at, store) = (publisher.layout().image_link("a.sif"), publisher.layout().image_store());
        publisher.folder(&store).unwrap();
        for name in ["one", "two"] {
            fs_err::write(store.join(name), name).unwrap();
            publisher.link(Part::Images, &at, &Path::new(".store").join(name)).unwrap();
            assert_eq!(fs_err::read_to_string(&at).unwrap(), name);
        }
        let refused = |at: &Path| {
            let error = publisher.link(Part::Images, at, Path::new(".store/two")).unwrap_err();
            assert!(matches!(error, PublishError::InTheWay { .. }), "{error}");
            error.to_string()
        };
        let other = publisher.layout().image_link("b.sif");
        fs_err::create_dir(&other).unwrap();
        assert!(refused(&other).ends_with("b.sif is a folder, where the cache must have a link of its own"));
        fs_err::remove_dir(&other).unwrap();
        fs_err::write(&other, "somebody's").unwrap();
        assert!(refused(&other).contains("b.sif is a file"), "{}", refused(&other));
        fs_err::remove_file(&other).unwrap();
        fs_err::hard_link(store.join("two"), &other).unwrap();
        publisher.link(Part::Images, &other, Path::new(".store/two")).unwrap();
        assert!(fs_err::symlink_metadata(&other).unwrap().is_symlink());
        assert_eq!(fs_err::read_dir(publisher.layout().staging(Part::Images)).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let (dir, guard) = setup();
        let outside = tempfile::tempdir().unwrap();
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        let model = publisher.layout().models().join("model");
        publisher.folder(&model).unwrap();
        std::os::unix::fs::symlink(outside.path(), model.join("refs")).unwrap();
        let failures = [
            publisher.file(Part::Models, &model.join("refs/main"), b"x").unwrap_err(),
            publisher.folder(&model.join("refs/deep")).unwrap_err(),
            publisher.remove(Part::Models, &model.join("refs/main")).unwrap_err(),
        ];
        for failure in failures.map(crate::report::Failure::from) {
            assert_eq!((failure.code, failure.exit), ("link_in_the_way", crate::report::Exit::Invalid));
            assert!(failure.message.contains("refs is a link"), "{failure}");
        }
        assert_eq!(fs_err::read_dir(outside.path()).unwrap().count(), 0);

        // Nor a part of the cache, nor the audit log.
        for name in ["engines", "audit.jsonl"] {
            let path = dir.path().join(name);
            if path.exists() {
                fs_err::remove_dir_all(&path).unwrap();
            }
            std::os::unix::fs::symlink(outside.path().join(name), &path).unwrap();
            let failure =
                crate::report::Failure::from(Publisher::new(&guard, Policy::default()).unwrap_err());
            assert!(failure.message.contains(name), "{failure}");
            fs_err::remove_file(path).unwrap();
        }
        assert_eq!(fs_err::read_dir(outside.path()).unwrap().count(), 0);
    }
}
