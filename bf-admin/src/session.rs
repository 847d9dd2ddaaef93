//! A command that changes a cache: the folder, the lock, the modes, and the line in the audit log.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bf_core::audit;
use bf_core::lock::{LockError, Notice, Owner, SiteGuard};
use bf_core::publish::{Policy, Publisher, clear_parts};
use bf_core::report::{Exit, Failure};
use bf_core::site::{Declared, Layout, Part, trusted, trusted_of};
use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{AccessFlags, Gid, Group, Uid, User, access, getegid, geteuid, getgroups};

use crate::cli::Context;
use crate::printer;

/// How far a missing cache may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// With every missing folder above it.
    WithParents,
    /// Only the folder itself: what is above a cache that nobody declared may be a typing error.
    Itself,
}

/// Holds the lock of `layout`, does `work`, and writes down how it ended. `work` gives its result, what to write, and
/// nothing to write when it changed nothing.
pub(crate) fn run<T>(
    context: &Context,
    layout: &Layout,
    make: Make,
    policy: Policy,
    work: impl FnOnce(&Publisher<'_>) -> Result<(T, Option<String>), Failure>,
) -> Result<T, Failure> {
    // Modes are set explicitly. But a kill between making a folder and setting its mode must not leave a closed one.
    umask(Mode::from_bits_truncate(0o022));
    if let Err(failure) = ours(layout) {
        // A log that is there is the owner's. Of ours he would have nothing, and a second failure says nothing that helps.
        if fs_err::symlink_metadata(layout.audit()).is_ok() {
            let _ = audit::append(layout, &context.command, &format!("refused: {failure}"));
        }
        return Err(failure);
    }
    if let Some(group) = policy.group.filter(|_| Part::ALL.iter().any(|part| !layout.part(*part).exists())) {
        made_in(layout.root(), make)?;
        may_give(layout, &BTreeSet::from([group.as_raw()]))?; // what is made now is given to it
    }
    make_folder(layout.root(), make, policy)?;
    ours(layout)?;
    let guard = clear_parts(layout).map_err(Failure::from).and_then(|()| take(context, layout)); // the lock is in one of them
    // Held until the line is written.
    let result = guard.as_ref().map_err(Clone::clone).and_then(|guard| locked(guard, policy, work));
    let line = match &result {
        Ok((_, line)) => line.clone(),
        Err(failure) if matches!(failure.exit, Exit::Busy | Exit::Permission) => {
            Some(format!("refused: {failure}"))
        }
        Err(failure) => Some(format!("failed: {failure}")),
    };
    if let Some(line) = line
        && let Err(error) = audit::append(layout, &context.command, &line)
        && result.is_ok()
    {
        // A change that nobody can trace is one to tell about, and one that is done.
        return Err(
            Failure::from(error).with_hint("the command did its work; only the audit log has no line of it")
        );
    }
    result.map(|(value, _)| value)
}

fn take(context: &Context, layout: &Layout) -> Result<SiteGuard, Failure> {
    let tell = &mut |notice: &Notice| context.printer.progress(&said(layout, notice));
    SiteGuard::wait(layout, context.patience, tell).map_err(|error| closed(layout, error.into()))
}

fn said(layout: &Layout, notice: &Notice) -> String {
    let cache = layout.root().display();
    let who = |owner: &Option<Owner>| owner.as_ref().map_or("another process".into(), Owner::to_string);
    match notice {
        Notice::Held(owner) => format!("waiting for {}, who changes the cache {cache}", who(owner)),
        Notice::Silent(owner, left) => {
            let left = left.as_secs() + 1;
            format!(
                "nothing is heard of {}: the cache {cache} is taken over if that is so for {left} s more",
                who(owner)
            )
        }
        Notice::TakenOver(owner) => {
            format!("the cache {cache} was taken over from {}, who is gone or silent", who(owner))
        }
    }
}

fn locked<T>(
    guard: &SiteGuard,
    policy: Policy,
    work: impl FnOnce(&Publisher<'_>) -> Result<(T, Option<String>), Failure>,
) -> Result<(T, Option<String>), Failure> {
    let publisher = Publisher::new(guard, policy).map_err(|error| closed(guard.layout(), error.into()))?;
    let result = work(&publisher);
    // Who has lost the lock says so, and not which of his files were gone when he went on.
    if !matches!(result, Ok((_, None)))
        && let Err(error @ LockError::Lost { .. }) = guard.check()
    {
        return Err(error.into());
    }
    result
}

/// Which file was closed first says nothing to somebody who may not change the cache at all.
fn closed(layout: &Layout, failure: Failure) -> Failure {
    if failure.exit != Exit::Permission {
        return failure;
    }
    let user = bf_core::host::user();
    let message = format!("the cache {} cannot be changed by {user}", layout.root().display());
    let hint = match owner(layout) {
        Some(owner) => format!("run it as {owner}, who owns the cache"),
        None => "run it as the owner of the cache".to_owned(),
    };
    Failure { message, ..failure }.with_hint(hint)
}

fn owner(layout: &Layout) -> Option<String> {
    writer(layout).map(|uid| user(uid).0)
}

/// Who writes into the cache: the owner of its locks. The folder itself may have been made for him by somebody else.
fn writer(layout: &Layout) -> Option<u32> {
    let known = [layout.locks(), layout.site_lock(), layout.root().to_owned()];
    known.iter().find_map(|path| fs_err::symlink_metadata(path).ok()).map(|found| found.uid())
}

/// Refuses a place where others could exchange the cache for another one, which users would not trust either, and a cache of somebody
/// else's, also where we are root: what root makes in it, the first claim of its lock above all, its owner could neither read nor
/// remove any more.
fn ours(layout: &Layout) -> Result<(), Failure> {
    let root = layout.root();
    let is_there = fs_err::symlink_metadata(root).is_ok();
    // A cache that is still to be made will be ours.
    let existing = root.ancestors().find(|folder| fs_err::symlink_metadata(folder).is_ok()).unwrap_or(root);
    if is_there {
        trusted(root, root)?;
    } else {
        // In a folder as /tmp it is looked at again when it was made: somebody else may have been faster.
        let is_sticky = fs_err::metadata(existing)?.mode() & 0o1000 != 0;
        trusted_of(0, existing.parent().filter(|_| is_sticky).unwrap_or(existing))?;
    }
    let Some(uid) = writer(layout).filter(|_| is_there) else { return Ok(()) };
    let me = geteuid();
    let of_root = !me.is_root() && fs_err::metadata(root)?.uid() == 0; // whom it was made for, the modes tell
    if uid == me.as_raw() || of_root {
        return Ok(());
    }
    let (name, login) = user(uid);
    let (cache, user) = (root.display(), bf_core::host::user());
    let message = format!("the cache {cache} cannot be changed by {user}: it belongs to {name}");
    Err(Failure::new(Exit::Permission, "permission_denied", message)
        .with_hint(format!("run it as {name}, who owns the cache: sudo -u {login} bf-admin ...")))
}

/// Says what users of the cache will be told: that others could exchange it.
pub(crate) fn warn_of_place(layout: &Layout) {
    if layout.root().exists()
        && let Err(error) = trusted(layout.root(), layout.root())
    {
        let hint = bf_core::report::Explain::hint(&error);
        printer::warning(&format!("{error}; users' programs will refuse the cache"), hint.as_deref());
    }
}

/// A user for people, and as `sudo -u` takes him.
fn user(uid: u32) -> (String, String) {
    match User::from_uid(Uid::from_raw(uid)).ok().flatten() {
        Some(user) => (user.name.clone(), user.name),
        None => (format!("user {uid}"), format!("'#{uid}'")),
    }
}

/// Whether a run could change the cache, or make it: says beforehand what the run itself would.
pub(crate) fn writable(layout: &Layout, make: Make) -> Result<(), Failure> {
    let root = layout.root();
    ours(layout)?;
    made_in(root, make)?;
    let Some(existing) = root.ancestors().find(|folder| folder.exists()) else { return Ok(()) };
    match access(existing, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Ok(()),
        Err(errno) => Err(refusal(layout, existing, errno)),
    }
}

fn refusal(layout: &Layout, folder: &Path, errno: Errno) -> Failure {
    let error = io::Error::from(errno);
    let message = format!("{} cannot be written to: {error}", folder.display());
    let failure = Failure::from(io::Error::new(error.kind(), message));
    if folder == layout.root() { closed(layout, failure) } else { failure }
}

/// Refuses to make more than the cache's own folder, where that may be a typing error.
fn made_in(root: &Path, make: Make) -> io::Result<()> {
    let parent = root.parent().unwrap_or(root);
    if make == Make::Itself && !parent.exists() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("the folder {} does not exist, and the cache is to be made in it", parent.display()),
        ));
    }
    Ok(())
}

/// Makes the cache's folder if it is missing. What is there is left to who looks for drift.
fn make_folder(root: &Path, make: Make, policy: Policy) -> io::Result<()> {
    made_in(root, make)?;
    let missing: Vec<&Path> = root.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        let policy = if folder == root { policy } else { Policy { group: None, ..Policy::default() } };
        match policy.make_folder(folder) {
            Ok(()) => {}
            // Another run was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let message = format!("cannot create folder {}: {error}", folder.display());
                return Err(io::Error::new(error.kind(), message));
            }
        }
    }
    Ok(())
}

/// What to do about a group that there is not.
pub(crate) const GROUP_HINT: &str = "`getent group` lists the groups";

/// The group with this name, if this machine has it.
pub(crate) fn group(name: &str) -> io::Result<Option<Gid>> {
    Ok(Group::from_name(name).map_err(io::Error::from)?.map(|group| group.gid))
}

/// The group `name` of this machine; `place` says who asks for it.
pub(crate) fn named_group(name: &str, place: &str) -> Result<Gid, Failure> {
    let unknown = || {
        let message = format!("{place}: there is no group {name} on this machine");
        Failure::new(Exit::Invalid, "group_not_found", message).with_hint(GROUP_HINT)
    };
    group(name)?.ok_or_else(unknown)
}

/// Whether whoever runs this may give files to these groups: root may, and who is in them. Where the cache hands its group on to all that
/// is made in it, nothing is to be given to that one.
///
/// # Errors
/// Names the first group that he is not in, and the command that changes that.
pub(crate) fn may_give(layout: &Layout, groups: &BTreeSet<u32>) -> Result<(), Failure> {
    let handed_on = fs_err::metadata(layout.root()).ok().filter(|root| root.mode() & SET_GROUP != 0);
    let handed_on = handed_on.map(|root| root.gid());
    for group in groups.iter().filter(|group| handed_on != Some(**group)) {
        if !is_in(*group)? {
            let (message, hint) = not_in(&group_name(*group));
            return Err(Failure::new(Exit::Permission, "not_in_group", message).with_hint(hint));
        }
    }
    Ok(())
}

/// The bit of a folder by which what is made in it has its group.
const SET_GROUP: u32 = 0o2000;

/// What is said to who is not in a group, and what changes that.
pub(crate) fn not_in(group: &str) -> (String, String) {
    let user = bf_core::host::user();
    let message = format!("{user} is not in the group {group}: files cannot be given to it");
    (message, format!("`usermod -aG {group} {user}`, as root, and then log in again"))
}

/// Whether whoever runs this may give files to a group.
pub(crate) fn is_in(group: u32) -> io::Result<bool> {
    Ok(geteuid().is_root()
        || getegid().as_raw() == group
        || getgroups().map_err(io::Error::from)?.iter().any(|own| own.as_raw() == group)
        || may_chown())
}

/// Whether this process has `CAP_CHOWN`, the lowest bit of what capabilities(7) calls the effective set.
fn may_chown() -> bool {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & 1 != 0)
}

/// A group's name, or the number of one that has none.
fn group_name(gid: u32) -> String {
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}

/// Whether a cache is that of whoever runs this; one that is not there yet is nobody's.
pub(crate) fn is_own(layout: &Layout) -> bool {
    writer(layout) == Some(geteuid().as_raw())
}

/// The modes and the group that a site declares; without a declaration those of the guide.
pub(crate) fn policy(declared: Option<&Declared>) -> Result<Policy, Failure> {
    let Some(declared) = declared else { return Ok(Policy::default()) };
    let group = match &declared.group {
        None => None,
        Some(name) => Some(named_group(name, &declared.path.display().to_string())?),
    };
    Ok(Policy { file_mode: declared.file_mode, group, closed: false })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use bf_core::publish::set_mode;

    use super::*;
    use crate::testing;

    fn context() -> Context {
        testing::context(None, None)
    }

    #[test]
    fn a_change_is_written_down_and_no_change_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().join("a/cache"));
        let go = |make, line: Option<&str>| {
            run(&context(), &layout, make, Policy::default(), |_| Ok(((), line.map(str::to_owned))))
        };
        assert_eq!(go(Make::Itself, None).unwrap_err().exit, Exit::NotFound);
        go(Make::WithParents, None).unwrap();
        assert!(!layout.audit().exists());
        assert_eq!(fs_err::metadata(layout.root()).unwrap().permissions().mode() & 0o7777, 0o755);
        go(Make::Itself, Some("ok: 1 change")).unwrap();
        assert!(fs_err::read_to_string(layout.audit()).unwrap().contains("ok: 1 change"));
    }

    #[test]
    fn a_run_that_would_be_refused_is_refused_beforehand_and_told_who_may() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(writable(&layout, Make::Itself), Ok(()));
        let read_only = refusal(&layout, dir.path(), Errno::EROFS);
        assert_eq!((read_only.exit, read_only.code), (Exit::CannotCreate, "read_only"));
        let missing = Layout::new(dir.path().join("a/b"));
        assert_eq!(writable(&missing, Make::Itself).unwrap_err().exit, Exit::NotFound);
        assert_eq!(writable(&missing, Make::WithParents), Ok(()));

        fs_err::create_dir(layout.locks()).unwrap();
        if geteuid().is_root() {
            // The folder was made by root, and the cache by somebody else.
            fs_err::os::unix::fs::chown(layout.locks(), Some(54_321), None).unwrap();
            let closed = refusal(&layout, dir.path(), Errno::EACCES);
            assert_eq!(closed.exit, Exit::Permission);
            assert_eq!(closed.hint.unwrap(), "run it as user 54321, who owns the cache");
        } else {
            fs_err::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
            assert_eq!(writable(&layout, Make::Itself).unwrap_err().exit, Exit::Permission);
        }
    }

    #[test]
    fn root_makes_nothing_in_the_cache_of_somebody_else() {
        if !geteuid().is_root() {
            return; // nobody else gives a folder away
        }
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().join("cache"));
        let go = || {
            let work = |_: &Publisher<'_>| Ok(((), Some("ok".into())));
            run(&context(), &layout, Make::Itself, Policy::default(), work)
        };
        go().unwrap(); // a cache of root's is root's
        go().unwrap();
        let give = |path: &Path| fs_err::os::unix::fs::chown(path, Some(54_321), None).unwrap();
        for path in [layout.locks(), layout.root().to_owned()] {
            give(&path);
            for failure in [go().unwrap_err(), writable(&layout, Make::Itself).unwrap_err()] {
                assert_eq!(failure.exit, Exit::Permission);
                assert!(failure.message.ends_with("it belongs to user 54321"), "{failure}");
                assert!(failure.hint.unwrap().contains("sudo -u '#54321' bf-admin"));
            }
        }
        assert!(fs_err::read_to_string(layout.audit()).unwrap().contains("refused: the cache"));
        fs_err::remove_dir_all(layout.root()).unwrap();
        fs_err::create_dir(layout.root()).unwrap();
        give(layout.root());
        assert_eq!(go().unwrap_err().exit, Exit::Permission);
        assert_eq!(fs_err::read_dir(layout.root()).unwrap().count(), 0);
    }

    #[test]
    fn a_cache_that_others_could_exchange_is_not_set_up() {
        let dir = tempfile::tempdir().unwrap();
        let shared = dir.path().join("shared");
        fs_err::create_dir(&shared).unwrap();
        let layout = Layout::new(shared.join("cache"));
        let exit = || writable(&layout, Make::Itself).map_err(|failure| failure.exit);
        set_mode(&shared, 0o777).unwrap();
        assert_eq!(exit(), Err(Exit::Permission));
        set_mode(&shared, 0o1777).unwrap();
        assert_eq!(exit(), Ok(()));
        fs_err::create_dir(layout.root()).unwrap();
        assert_eq!(exit(), Ok(()));
        set_mode(layout.root(), 0o777).unwrap();
        assert_eq!(exit(), Err(Exit::Permission));
        set_mode(layout.root(), 0o775).unwrap();
        assert_eq!(exit(), Ok(()), "by group is the site's choice");
    }

    #[test]
    fn a_refusal_is_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let _other = SiteGuard::take(&layout).unwrap();
        let result = run(&context(), &layout, Make::Itself, Policy::default(), |_| Ok(((), None)));
        assert_eq!(result.unwrap_err().exit, Exit::Busy);
        assert!(fs_err::read_to_string(layout.audit()).unwrap().contains("refused: "));
    }

    #[test]
    fn who_loses_the_lock_says_so_whatever_failed_then() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let result = run(&context(), &layout, Make::Itself, Policy::default(), |publisher| {
            fs_err::remove_dir_all(layout.locks()).unwrap();
            let _other = SiteGuard::take(&layout).unwrap();
            publisher.file(Part::Top, &layout.site_yaml(), b"").unwrap_err();
            Ok(((), Some("failed: this and that".into())))
        });
        let failure = result.unwrap_err();
        assert_eq!((failure.code, failure.exit), ("lock_lost", Exit::Busy));
        assert!(fs_err::read_to_string(layout.audit()).unwrap().contains("lost the cache"));
    }
}
