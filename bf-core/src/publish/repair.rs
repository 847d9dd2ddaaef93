//! Mode, owner and group of what was published, compared with the policy and set again.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{Gid, Group, Uid, User, fchownat};

use super::acl::{has_acl, remove_acl};
use super::{Content, Policy, PublishError, Publisher, folder, set_mode};

/// The bit that lets new entries of a folder have its group: the site's own choice.
const SET_GROUP: u32 = 0o2000;

/// What is to be set at a path. Nothing: it stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub owner: Option<u32>,
    /// Group.
    pub group: Option<u32>,
    /// Whether its access control lists are taken away.
    pub acl: bool,
}

impl Access {
    /// Whether there is nothing to set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with a path of this metadata: `mode 0700 instead of 0755, group users instead of staff`.
    pub fn fault(&self, metadata: &Metadata) -> String {
        let mut text = String::new();
        let mut say = |what: &str, is: String, wanted: String| {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a text does not fail.
            let _ = write!(text, "{comma}{what} {is} instead of {wanted}");
        };
        if let Some(mode) = self.mode {
            say("mode", format!("{:04o}", metadata.mode() & 0o7777), format!("{mode:04o}"));
        }
        if let Some(owner) = self.owner {
            say("owner", user(metadata.uid()), user(owner));
        }
        if let Some(group) = self.group {
            say("group", self::group(metadata.gid()), self::group(group));
        }
        if self.acl {
            text.push_str(if text.is_empty() {
                "an access control list"
            } else {
                ", and an access control list"
            });
        }
        text
    }
}

/// A user's name, or the number of one that has none.
fn user(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// A group's name, or the number of one that has none.
fn group(gid: u32) -> String {
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}

impl Policy {
    /// What must be set at something that was published with this content. `owner` is the cache's: what belongs to him, to root or
    /// to whoever runs this is in good hands.
    pub fn off(&self, metadata: &Metadata, content: Content, owner: u32) -> Access {
        let mode = metadata.mode() & 0o7777;
        let wanted = if metadata.is_dir() {
            Some(self.folder() | (mode & SET_GROUP))
        } else if metadata.is_file() {
            Some(self.file(content, mode))
        } else {
            None // links have no mode
        };
        let own = nix::unistd::geteuid().as_raw();
        let uid = metadata.uid();
        Access {
            mode: wanted.filter(|wanted| *wanted != mode),
            owner: Some(owner).filter(|_| ![0, owner, own].contains(&uid)),
            group: self.group.map(Gid::as_raw).filter(|group| *group != metadata.gid()),
            acl: false,
        }
    }

    /// The same of a path of this metadata, with its access control lists.
    pub fn off_at(&self, path: &Path, metadata: &Metadata, content: Content, owner: u32) -> Access {
        Access { acl: !metadata.is_symlink() && has_acl(path), ..self.off(metadata, content, owner) }
    }
}

impl Publisher<'_> {
    /// Sets mode, owner and group of a path in the cache: of itself, never of what a link leads to.
    ///
    /// # Errors
    /// [`PublishError::Outside`], a link on the way, and a file that has a second name, which may be outside of the cache.
    pub fn repair(&self, path: &Path, access: Access) -> Result<(), PublishError> {
        let root = self.layout().root();
        super::way::below(root, path)?;
        let below = path.strip_prefix(root).unwrap_or(path);
        self.visibly(|| {
            set(root, below, access).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot change {}: {error}", path.display()))
            })
        })
    }
}

/// Bits that a mode may have: what runs as its owner or group is never made, and only a folder hands its group on, or is sticky.
fn allowed(kind: SFlag) -> u32 {
    if kind == SFlag::S_IFDIR { 0o3777 } else { 0o777 }
}

fn set(root: &Path, below: &Path, access: Access) -> io::Result<()> {
    // From folder to folder: nobody can put a link in our way meanwhile.
    let at = folder::open_below(root, below)?;
    let stat = fstat(&at)?;
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    if kind == SFlag::S_IFREG && stat.st_nlink > 1 {
        return Err(io::Error::other("it has a second name, which may be outside of the cache"));
    }
    let own = &folder::by_number(&at);
    let mode = access.mode.filter(|_| kind != SFlag::S_IFLNK).map(|mode| mode & allowed(kind));
    let is = stat.st_mode & 0o7777;
    // A mode that was not looked at may have what nothing in a cache needs: it must not come into other hands with it.
    let mode = mode.or_else(|| Some(is & allowed(kind)).filter(|less| kind != SFlag::S_IFLNK && *less != is));
    // What is to be closed is closed first: if the rest fails, nobody reads it meanwhile.
    if let Some(less) = mode.map(|wanted| is & wanted).filter(|less| *less != is) {
        set_mode(own, less)?;
    }
    if access.acl && kind != SFlag::S_IFLNK {
        remove_acl(own)?;
    }
    if access.owner.is_some() || access.group.is_some() {
        let (owner, group) = (access.owner.map(Uid::from_raw), access.group.map(Gid::from_raw));
        fchownat(&at, "", owner, group, AtFlags::AT_EMPTY_PATH).map_err(|errno| {
            let error = io::Error::from(errno);
            if mode.is_none_or(|wanted| wanted & 0o007 != 0) {
                return error;
            }
            let still = self::group(stat.st_gid);
            io::Error::new(
                error.kind(),
                format!("{error}; it is closed to others, and still of the group {still}"),
            )
        })?;
    }
    // A new owner or group takes away some bits, so that the mode comes last.
    if let Some(mode) = mode {
        set_mode(own, mode)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::lock::SiteGuard;
    use crate::publish::acl::testing::give;
    use crate::site::Layout;

    #[test]
    fn a_mode_is_set_again_and_never_through_a_link() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let guard = SiteGuard::take(&Layout::new(dir.path())).unwrap();
        let policy = Policy::default();
        let publisher = Publisher::new(&guard, policy).unwrap();
        let file = publisher.layout().models().join("file");
        let mode = |path: &Path, mode: u32| {
            fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        fs_err::write(&file, "x").unwrap();
        mode(&file, 0o000);
        let owner = fs_err::metadata(dir.path()).unwrap().uid();
        let off = || policy.off(&fs_err::symlink_metadata(&file).unwrap(), Content::Model, owner);
        let access = off();
        assert_eq!(access, Access { mode: Some(0o755), ..Access::default() });
        assert_eq!(access.fault(&fs_err::symlink_metadata(&file).unwrap()), "mode 0000 instead of 0755");
        publisher.repair(&file, access).unwrap();
        assert!(off().is_empty());

        let theirs = outside.path().join("theirs");
        fs_err::write(&theirs, "").unwrap();
        mode(&theirs, 0o600);
        let models = publisher.layout().models();
        symlink(&theirs, models.join("link")).unwrap();
        symlink(outside.path(), models.join("folder")).unwrap();
        fs_err::hard_link(&theirs, models.join("second")).unwrap();
        publisher.repair(&models.join("link"), access).unwrap(); // has no mode of its own
        publisher.repair(&models.join("folder/theirs"), access).unwrap_err();
        let error = publisher.repair(&models.join("second"), access).unwrap_err();
        assert!(error.to_string().contains("second name"), "{error}");
        publisher.repair(outside.path(), access).unwrap_err();
        assert_eq!(fs_err::metadata(&theirs).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn nothing_comes_into_other_hands_as_a_program_that_runs_as_them() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("file"), dir.path().join("folder"));
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o7777;
        for wanted in [Some(0o6755), None] {
            fs_err::write(&file, "").unwrap();
            set_mode(&file, 0o6755).unwrap();
            let owner = Some(nix::unistd::geteuid().as_raw());
            set(dir.path(), Path::new("file"), Access { mode: wanted, owner, ..Access::default() }).unwrap();
            assert_eq!(mode(&file), 0o755, "{wanted:?}");
        }
        fs_err::create_dir(&folder).unwrap();
        set(dir.path(), Path::new("folder"), Access { mode: Some(0o6755), ..Access::default() }).unwrap();
        assert_eq!(mode(&folder), 0o2755);
        for path in ["../file", "a/../../file"] {
            set(dir.path(), Path::new(path), Access::default()).unwrap_err();
        }
    }

    #[test]
    fn access_control_lists_are_not_published_and_are_taken_away_where_they_were_put() {
        let dir = tempfile::tempdir().unwrap();
        if !give(dir.path(), true, 65_534, 7) {
            return; // a filesystem without them
        }
        let guard = SiteGuard::take(&Layout::new(dir.path())).unwrap();
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        let closed = publisher.with(publisher.policy().only_for(nix::unistd::getegid()));
        let stage = closed.stage(crate::site::Part::Models).unwrap();
        let tree = stage.path().join("tree");
        fs_err::create_dir(&tree).unwrap();
        fs_err::write(tree.join("file"), "").unwrap();
        assert!(give(&tree, false, 65_534, 7) && has_acl(&tree));
        let to = publisher.layout().models().join("tree");
        closed.publish(&tree, &to, Content::Model).unwrap();
        for path in [&to, &to.join("file"), &publisher.layout().models()] {
            assert!(!has_acl(path), "{}", path.display());
        }

        let owner = fs_err::metadata(dir.path()).unwrap().uid();
        let off = |path: &Path| {
            closed.policy().off_at(path, &fs_err::symlink_metadata(path).unwrap(), Content::Model, owner)
        };
        assert!(off(&to).is_empty());
        assert!(give(&to, false, 65_534, 0) && give(&to, true, 65_534, 7));
        let access = off(&to);
        assert!(access.acl);
        assert!(access.fault(&fs_err::metadata(&to).unwrap()).ends_with("an access control list"));
        publisher.repair(&to, access).unwrap();
        assert!(off(&to).is_empty() && !has_acl(&to));
    }

    #[test]
    fn what_cannot_be_given_to_its_group_is_closed_nevertheless() {
        if nix::unistd::geteuid().is_root() {
            return; // who may give everything to everybody
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs_err::write(&file, "").unwrap();
        set_mode(&file, 0o755).unwrap();
        let access = Access { mode: Some(0o750), group: Some(54_321), ..Access::default() };
        let error = set(dir.path(), Path::new("file"), access).unwrap_err();
        assert!(error.to_string().contains("it is closed to others"), "{error}");
        assert_eq!(fs_err::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o750);
    }

    #[test]
    fn what_is_for_a_group_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let guard = SiteGuard::take(&Layout::new(dir.path())).unwrap();
        let publisher = Publisher::new(&guard, Policy { file_mode: 0o644, ..Policy::default() }).unwrap();
        let group = nix::unistd::getegid();
        let closed = publisher.with(publisher.policy().only_for(group));
        let stage = closed.stage(crate::site::Part::Models).unwrap();
        let tree = stage.path().join("tree");
        fs_err::create_dir(&tree).unwrap();
        fs_err::write(tree.join("file"), "").unwrap();
        let to = publisher.layout().models().join("tree");
        closed.publish(&tree, &to, Content::Model).unwrap();
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&to), mode(&to.join("file"))), (0o750, 0o640));
        assert_eq!(mode(&publisher.layout().models()), 0o755);
    }
}
