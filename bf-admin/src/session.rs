//! A command that changes a cache: the folder, the lock, the modes, and the line in the audit log.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use bf_core::audit;
use bf_core::lock::SiteGuard;
use bf_core::publish::{Policy, Publisher, clear_parts, set_mode};
use bf_core::report::{Exit, Failure};
use bf_core::site::{Declared, Layout};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Group, Uid, User};

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
    layout: &Layout,
    command: &[String],
    make: Make,
    policy: Policy,
    work: impl FnOnce(&Publisher<'_>) -> Result<(T, Option<String>), Failure>,
) -> Result<T, Failure> {
    // Modes are set explicitly. But a kill between making a folder and setting its mode must not leave a closed one.
    umask(Mode::from_bits_truncate(0o022));
    make_folder(layout.root(), make, policy)?;
    let result = locked(layout, policy, work);
    let line = match &result {
        Ok((_, line)) => line.clone(),
        Err(failure) if matches!(failure.exit, Exit::Busy | Exit::Permission) => {
            Some(format!("refused: {failure}"))
        }
        Err(failure) => Some(format!("failed: {failure}")),
    };
    if let Some(line) = line
        && let Err(error) = audit::append(layout, command, &line)
        && result.is_ok()
    {
        // A change that nobody can trace is one to tell about, and one that is done.
        return Err(
            Failure::from(error).with_hint("the command did its work; only the audit log has no line of it")
        );
    }
    result.map(|(value, _)| value)
}

fn locked<T>(
    layout: &Layout,
    policy: Policy,
    work: impl FnOnce(&Publisher<'_>) -> Result<(T, Option<String>), Failure>,
) -> Result<(T, Option<String>), Failure> {
    clear_parts(layout)?; // the lock is in one of them
    let guard = SiteGuard::take(layout).map_err(|error| closed(layout, error.into()))?;
    let publisher = Publisher::new(&guard, policy).map_err(|error| closed(layout, error.into()))?;
    work(&publisher)
}

/// Which file was closed first says nothing to somebody who may not change the cache at all.
fn closed(layout: &Layout, failure: Failure) -> Failure {
    if failure.exit != Exit::Permission {
        return failure;
    }
    let user = bf_core::host::user();
    let message = format!("the cache {} cannot be changed by {user}", layout.root().display());
    let owner = fs_err::metadata(layout.root()).ok().map(|metadata| metadata.uid());
    let owner = owner.and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten());
    let owner = owner.map_or_else(|| "its owner".to_owned(), |owner| owner.name);
    Failure { message, ..failure }.with_hint(format!("run the command as {owner}"))
}

/// Makes the cache's folder if it is missing. What is there keeps its mode: whom it lets through is the site's choice.
fn make_folder(root: &Path, make: Make, policy: Policy) -> io::Result<()> {
    let missing: Vec<&Path> = root.ancestors().take_while(|folder| !folder.exists()).collect();
    if make == Make::Itself && missing.len() > 1 {
        let parent = root.parent().unwrap_or(root);
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("the folder {} does not exist, and the cache is to be made in it", parent.display()),
        ));
    }
    for folder in missing.into_iter().rev() {
        match std::fs::DirBuilder::new().mode(0o755).create(folder) {
            Ok(()) => {
                if let Some(group) = policy.group.filter(|_| folder == root) {
                    fs_err::os::unix::fs::lchown(folder, None, Some(group.as_raw()))?;
                }
                set_mode(folder, Policy::FOLDER)?;
            }
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

/// The modes and the group that a site declares; without a declaration those of the guide.
pub(crate) fn policy(declared: Option<&Declared>) -> Result<Policy, Failure> {
    let Some(declared) = declared else { return Ok(Policy::default()) };
    let group = match &declared.group {
        None => None,
        Some(name) => {
            let unknown = || {
                let message =
                    format!("{}: there is no group {name} on this machine", declared.path.display());
                Failure::new(Exit::Invalid, "group_not_found", message).with_hint(GROUP_HINT)
            };
            Some(group(name)?.ok_or_else(unknown)?)
        }
    };
    Ok(Policy { file_mode: declared.file_mode, group })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_change_is_written_down_and_no_change_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().join("a/cache"));
        let command = ["bf-admin".to_owned(), "setup".to_owned()];
        let go = |make, line: Option<&str>| {
            run(&layout, &command, make, Policy::default(), |_| Ok(((), line.map(str::to_owned))))
        };
        assert_eq!(go(Make::Itself, None).unwrap_err().exit, Exit::NotFound);
        go(Make::WithParents, None).unwrap();
        assert!(!layout.audit().exists());
        assert_eq!(fs_err::metadata(layout.root()).unwrap().permissions().mode() & 0o7777, 0o755);
        go(Make::Itself, Some("ok: 1 change")).unwrap();
        assert!(fs_err::read_to_string(layout.audit()).unwrap().contains("ok: 1 change"));
    }

    #[test]
    fn a_refusal_is_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let _other = SiteGuard::take(&layout).unwrap();
        let result = run(&layout, &["bf-admin".into()], Make::Itself, Policy::default(), |_| Ok(((), None)));
        assert_eq!(result.unwrap_err().exit, Exit::Busy);
        assert!(fs_err::read_to_string(layout.audit()).unwrap().contains("refused: "));
    }
}
