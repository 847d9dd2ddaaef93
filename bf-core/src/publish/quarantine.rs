//! Where things go that nobody of us put into the cache: out of the way, and not lost.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use fs_err as fs;

use super::{PublishError, Publisher, clear, flush_parent, folder};
use crate::site::{Layout, Part};

impl Publisher<'_> {
    /// Moves what is at `path` to `PART/.quarantine/TIME-N/` and its path below the part, and gives where it is now. One run has one such
    /// folder in each part. It is renamed only: its bytes, owner and modes stay. A link is moved as a link.
    pub fn quarantine(&self, part: Part, path: &Path) -> Result<PathBuf, PublishError> {
        let home = self.layout().part(part);
        let below = path
            .strip_prefix(&home)
            .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a path of that part"))?;
        super::way::below(&home, path)?;
        if let Some(parent) = path.parent() {
            clear(self.layout(), parent)?;
        }
        // By way of our own staging folder: who has lost the lock has none, and moves nothing.
        let stage = self.stage(part)?;
        let aside = stage.path().join("strange");
        let quarantine = home.join(Layout::QUARANTINE);
        clear(self.layout(), &quarantine)?;
        self.ours(folder::private_below(self.layout().root(), &quarantine))?;
        let to = self.place(part, &quarantine, below)?;
        let root = self.layout().root();
        self.visibly(|| folder::move_out(root, path, &aside))?;
        self.visibly(|| folder::move_in(root, &aside, &to))?;
        flush_parent(path)?;
        flush_parent(&to)?;
        Ok(to)
    }

    /// Where something goes: into the folder of this run, or a new one where something of that name is in it already.
    fn place(&self, part: Part, quarantine: &Path, below: &Path) -> Result<PathBuf, PublishError> {
        let root = self.layout().root();
        let mut runs = self.quarantined.lock().unwrap_or_else(PoisonError::into_inner);
        let place = |folder: &Path| {
            let to = folder.join(below);
            let is_free =
                fs::symlink_metadata(&to).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
            let made = || folders(root, quarantine, to.parent().unwrap_or(folder));
            (is_free && made().is_ok()).then_some(to)
        };
        if let Some(to) = runs.get(&part).and_then(|folder| place(folder)) {
            return Ok(to);
        }
        let folder = self.ours(free(root, quarantine))?;
        let to = folder.join(below);
        folders(root, quarantine, to.parent().unwrap_or(&folder))?;
        runs.insert(part, folder);
        Ok(to)
    }
}

/// Makes the folders from `quarantine` to `folder`, for the owner alone.
fn folders(root: &Path, quarantine: &Path, folder: &Path) -> Result<(), PublishError> {
    for path in super::way::folders(quarantine, folder)? {
        folder::private_below(root, &path)?;
    }
    Ok(())
}

/// A new folder for what is found now.
fn free(root: &Path, quarantine: &Path) -> std::io::Result<PathBuf> {
    let time: String = crate::host::now().chars().filter(char::is_ascii_alphanumeric).collect();
    let mut number = 1;
    loop {
        let folder = quarantine.join(format!("{time}-{number}"));
        match fs::symlink_metadata(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                folder::private_below(root, &folder)?;
                return Ok(folder);
            }
            Err(error) => return Err(error),
            Ok(_) => number += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::SiteGuard;
    use crate::publish::Policy;

    #[test]
    fn strange_things_are_moved_and_none_covers_another() {
        let dir = tempfile::tempdir().unwrap();
        let guard = SiteGuard::take(&Layout::new(dir.path())).unwrap();
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        let models = publisher.layout().models();
        publisher.folder(&models.join("a/b")).unwrap();
        let mut seen = Vec::new();
        for text in ["one", "two"] {
            let path = models.join("a/b/file");
            fs::write(&path, text).unwrap();
            let to = publisher.quarantine(Part::Models, &path).unwrap();
            assert!(!path.exists() && to.ends_with("a/b/file"), "{}", to.display());
            assert_eq!(fs::read_to_string(&to).unwrap(), text);
            assert!(!seen.contains(&to));
            seen.push(to);
        }
        // What is of another name goes where the last one went.
        fs::write(models.join("a/b/other"), "").unwrap();
        let to =
            publisher.with(Policy::default()).quarantine(Part::Models, &models.join("a/b/other")).unwrap();
        assert_eq!(to.parent(), seen[1].parent());
        assert_eq!(fs::read_dir(models.join(Layout::QUARANTINE)).unwrap().count(), 2);
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("file"), "theirs").unwrap();
        std::os::unix::fs::symlink(outside.path(), models.join("link")).unwrap();
        publisher.quarantine(Part::Models, &models.join("link/file")).unwrap_err();
        publisher.quarantine(Part::Models, &models.join("../../file")).unwrap_err();
        let to = publisher.quarantine(Part::Models, &models.join("link")).unwrap();
        assert!(fs::symlink_metadata(to).unwrap().is_symlink());
        assert!(outside.path().join("file").exists());
        assert_eq!(fs::read_dir(publisher.layout().staging(Part::Models)).unwrap().count(), 0);
    }
}
