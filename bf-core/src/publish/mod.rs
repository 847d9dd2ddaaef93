//! Stage, fsync, set modes, rename: the only way anything enters the cache.
//!
//! Nothing is ever visible half-done. Everything is made in the staging folder of its part of the cache (0700, same
//! device), flushed, given its modes whatever the umask, and renamed to its final name. A killed run leaves
//! only staged things, which the next holder of the lock removes.

mod modes;
mod stage;
mod way;

pub use modes::{Content, Policy, private_folder, set_mode};
pub use stage::Stage;
pub use way::{PublishError, clear, clear_link, clear_parts};

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::lock::SiteGuard;
use crate::site::{Layout, Part};

/// Publishes into one cache, for as long as its lock is held.
#[derive(Debug)]
pub struct Publisher<'a> {
    guard: &'a SiteGuard,
    policy: Policy,
}

impl<'a> Publisher<'a> {
    /// Removes what killed runs left in the staging folders, makes the folders of the parts, and is ready.
    pub fn new(guard: &'a SiteGuard, policy: Policy) -> Result<Self, PublishError> {
        let publisher = Self { guard, policy };
        clear_parts(publisher.layout())?;
        for part in Part::ALL {
            publisher.folder(&publisher.layout().part(part))?;
            let staging = publisher.layout().staging(part);
            private_folder(&staging)?;
            for left in fs_err::read_dir(&staging)? {
                remove(&left?.path())?;
            }
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

    /// Makes a folder that everybody may read, with every missing folder above it inside the cache.
    ///
    /// # Errors
    /// [`PublishError::InTheWay`] when something else than a folder is there, or on the way to it: a link would make us
    /// write somewhere else.
    pub fn folder(&self, path: &Path) -> Result<(), PublishError> {
        for folder in way::folders(self.layout().root(), path) {
            if way::is_folder(&folder)? {
                continue;
            }
            fs_err::create_dir(&folder)?;
            self.policy.seal_folder(&folder)?;
            flush_parent(&folder)?;
        }
        Ok(())
    }

    /// A new, empty staging folder in `part`. It is removed when dropped.
    pub fn stage(&self, part: Part) -> io::Result<Stage> {
        Stage::new(&self.layout().staging(part))
    }

    /// Publishes a staged file or folder under its final name, which must not exist yet or be a file.
    ///
    /// Flushes it and sets its modes first. The folder of the final name is made if it is missing.
    pub fn publish(&self, staged: &Path, to: &Path, content: Content) -> Result<(), PublishError> {
        self.policy.seal(staged, content)?;
        if let Some(parent) = to.parent() {
            self.folder(parent)?;
        }
        fs_err::rename(staged, to)?;
        Ok(flush_parent(to)?)
    }

    /// Publishes a small file with these bytes, replacing an older one at once.
    pub fn file(&self, part: Part, to: &Path, bytes: &[u8]) -> Result<(), PublishError> {
        let stage = self.stage(part)?;
        let staged = stage.path().join("file");
        fs_err::File::create(&staged)?.write_all(bytes)?;
        self.publish(&staged, to, Content::Data)
    }

    /// Publishes a relative link at `at`, replacing an older link at once: who opens the name gets the one or the other.
    ///
    /// # Errors
    /// [`PublishError::InTheWay`] when something else is at `at`. Only a file that is the target itself, under a second
    /// name, gives way: nothing of it is lost.
    pub fn link(&self, part: Part, at: &Path, target: &Path) -> Result<(), PublishError> {
        let parent = at.parent().unwrap_or(self.layout().root());
        self.folder(parent)?;
        if !way::is_same_file(at, &parent.join(target)) {
            clear_link(at)?;
        }
        let stage = self.stage(part)?;
        let staged = stage.path().join("link");
        fs_err::os::unix::fs::symlink(target, &staged)?;
        self.policy.seal_link(&staged)?;
        fs_err::rename(&staged, at)?;
        Ok(flush_parent(at)?)
    }

    /// Moves a published thing out of sight into the staging folder of its part and removes it there, so that no
    /// reader ever sees a half of it.
    pub fn remove(&self, part: Part, path: &Path) -> Result<(), PublishError> {
        if let Some(parent) = path.parent() {
            clear(self.layout(), parent)?;
        }
        let stage = self.stage(part)?;
        let aside: PathBuf = stage.path().join("removed");
        fs_err::rename(path, &aside)?;
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

/// Lets the owner into a folder and all folders below it.
fn open_up(folder: &Path) -> io::Result<()> {
    set_mode(folder, 0o700)?;
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// Makes a rename or a new name last through a power cut. Filesystems that cannot flush folders are let be.
fn flush_parent(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    match fs_err::File::open(parent)?.sync_all() {
        Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => Ok(()),
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
