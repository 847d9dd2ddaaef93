//! What is fetched and not yet whole: kept when a run is killed, so that the next one, on whatever host, fetches only the rest.
//!
//! Each holder of the lock has a folder of its own, `PART/.downloads/CLAIM/ITEM/`. What earlier holders left is copied, never
//! taken as it is: one that was only paused has its files open, and would go on writing into what was found to be right.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fs_err as fs;

use super::{PublishError, Publisher, clear, folder, left, remove};
use crate::site::{Layout, Part};

/// How long what nobody asked for again is kept.
const KEPT: Duration = Duration::from_hours(14 * 24);

/// A private folder for what is being fetched. It stays, unless it is [removed](Downloads::remove) or nothing came into it.
#[derive(Debug, PartialEq, Eq)]
pub struct Downloads {
    path: PathBuf,
}

/// Held while folders are made and while empty ones go: what one thread is about to make a folder in, another one finds empty.
static FOLDERS: Mutex<()> = Mutex::new(());

impl Downloads {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it: what was fetched is published.
    pub fn remove(self) -> io::Result<()> {
        remove(&self.path)
    }
}

impl Drop for Downloads {
    /// The folder, the claim's and the one of all claims go as far as nothing is in them; where something is, they cannot be removed.
    fn drop(&mut self) {
        let _folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in self.path.ancestors().take(3) {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

impl Publisher<'_> {
    /// The folder in which `item`, the name of one thing, is fetched, with what earlier runs have fetched of it.
    pub fn downloads(&self, part: Part, item: &str) -> Result<Downloads, PublishError> {
        let home = self.layout().part(part).join(Layout::DOWNLOADS);
        let own = home.join(self.guard.claim());
        let path = own.join(item);
        clear(self.layout(), &path)?;
        self.guard.check()?;
        {
            let _folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
            for private in [&home, &own, &path] {
                folder::private_below(self.layout().root(), private)?;
            }
        }
        for entry in fs::read_dir(&home)? {
            let entry = entry?;
            if entry.path() != own {
                self.take_over(part, &entry.path(), item, &path)?;
            }
        }
        Ok(Downloads { path })
    }

    /// Copies what another holder has of `item` to `to`, and removes his. He writes into what has no name any more.
    fn take_over(&self, part: Part, other: &Path, item: &str, to: &Path) -> Result<(), PublishError> {
        let theirs = other.join(item);
        let is_old = || -> io::Result<bool> {
            let modified = fs::symlink_metadata(other)?.modified()?;
            Ok(modified.elapsed().is_ok_and(|age| age > KEPT))
        };
        let aside = self.stage(part)?;
        let aside = aside.path().join("left");
        match fs::symlink_metadata(&theirs) {
            Ok(meta) if meta.is_dir() => {
                folder::move_out(self.layout().root(), &theirs, &aside)?;
                copy(&aside, to)?;
                left::discard(&aside)?;
                let _ = std::fs::remove_dir(other); // if that was all
            }
            _ if is_old()? => {
                folder::move_out(self.layout().root(), other, &aside)?;
                left::discard(&aside)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Copies the files of a folder that are longer than those of the same name in `to`. Each goes away when it is copied, so that no two
/// copies of all of them take room.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let own = entry.metadata()?;
        let is_longer = fs::symlink_metadata(&target).map_or(true, |there| there.len() < own.len());
        if own.is_file() && is_longer {
            fs::copy(entry.path(), &target)?;
        }
        if own.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::SiteGuard;
    use crate::publish::Policy;

    #[test]
    fn what_came_to_nothing_leaves_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let guard = SiteGuard::take(&layout).unwrap();
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        let home = layout.images().join(Layout::DOWNLOADS);
        let of = |item| publisher.downloads(Part::Images, item).unwrap();
        let (empty, half) = (of("a.sif"), of("b.sif"));
        fs::write(half.path().join("blob.partial"), "half").unwrap();
        let (left, kept) = (empty.path().to_owned(), half.path().to_owned());
        drop((empty, half));
        assert!(!left.exists() && kept.join("blob.partial").exists());
        // Of an earlier run's nothing stays either, once it was taken over.
        of("b.sif").remove().unwrap();
        assert!(!home.exists());
        drop(of("c.sif"));
        assert!(!home.exists());
    }

    #[test]
    fn what_an_earlier_run_fetched_is_there_again_as_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let with = |work: &dyn Fn(&Publisher<'_>)| {
            let guard = SiteGuard::take(&layout).unwrap();
            work(&Publisher::new(&guard, Policy::default()).unwrap());
        };
        let first = std::cell::RefCell::new(None);
        with(&|publisher| {
            for item in ["a.sif", "b.sif"] {
                let downloads = publisher.downloads(Part::Images, item).unwrap();
                let file = fs::File::create(downloads.path().join("blob.partial")).unwrap();
                *first.borrow_mut() = Some(file);
                fs::write(downloads.path().join("blob.partial"), "half").unwrap();
            }
        });
        with(&|publisher| {
            let again = publisher.downloads(Part::Images, "b.sif").unwrap();
            let file = again.path().join("blob.partial");
            assert_eq!(fs::read_to_string(&file).unwrap(), "half");
            // Who was only paused goes on.
            io::Write::write_all(&mut first.borrow_mut().take().unwrap(), b"garbage").unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), "half");
            again.remove().unwrap();
        });
        with(&|publisher| {
            let other = publisher.downloads(Part::Images, "a.sif").unwrap();
            assert!(other.path().join("blob.partial").exists());
            let none = publisher.downloads(Part::Images, "b.sif").unwrap();
            assert_eq!(fs::read_dir(none.path()).unwrap().count(), 0);
            for downloads in [other, none] {
                downloads.remove().unwrap();
            }
            assert!(!layout.images().join(Layout::DOWNLOADS).exists());
            assert_eq!(fs::read_dir(layout.staging(Part::Images)).unwrap().count(), 0);
        });
    }
}
