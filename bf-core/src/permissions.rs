//! Whether everybody can read what a cache offers, and nobody what it does not: modes and owners of all in it, where its
//! links lead, and every folder above it.

mod offer;
mod viewer;

pub use offer::{For, Offer};
pub use viewer::Viewer;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};
use serde::Serialize;
use walkdir::{DirEntry, WalkDir};

use crate::publish::{Access, has_acl};
use crate::site::Layout;

/// One path whose permissions are not as they should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Absolute path.
    pub path: PathBuf,
    /// The permission bits it has, as `0750`.
    pub mode: String,
    /// What is wrong, without a full stop.
    pub message: String,
    /// The command that mends it.
    pub hint: String,
    /// Whether it is above the cache: reported, never changed by us.
    pub above_cache: bool,
    /// What must be set, where setting is all it needs.
    #[serde(skip)]
    pub mend: Access,
}

/// The command that sets what has something to [`mend`](Problem::mend).
pub const FIX: &str = "`bf-admin permissions fix` sets it";

/// Who may see a path of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Everybody may read it, nobody but the owner write it.
    Everybody,
    /// As its owner has it: nothing says that anybody should read it. Nobody else may write it.
    Unknown,
    /// Only the owner.
    Owner,
    /// The owner, and the group may read.
    OwnerAndGroup,
    /// The owner may change it, the group must be able to read it, nobody else.
    Group,
}

/// Who should see what is at `path` below the cache: private are the folders of writers, and the audit log.
fn audience(layout: &Layout, offer: &Offer, path: &Path) -> Audience {
    let relative = layout.relative(path);
    let private = [Layout::STAGING, Layout::DOWNLOADS, ".locks", Layout::QUARANTINE, Layout::VERIFY];
    if relative.components().any(|part| private.iter().any(|name| part.as_os_str() == *name)) {
        Audience::Owner
    } else if path == layout.audit() {
        Audience::OwnerAndGroup
    } else {
        match offer.of(path) {
            Some(For::Everybody) => Audience::Everybody,
            Some(For::Group) => Audience::Group,
            None => Audience::Unknown,
        }
    }
}

/// Looks at every folder above the cache and at everything in it. What `offer` does not
/// name is never opened: only what others may write of it is a problem.
pub fn check(layout: &Layout, offer: &Offer) -> io::Result<Vec<Problem>> {
    let mut problems = parents(layout.root())?;
    let real = fs_err::canonicalize(layout.root())?;
    let owner = fs_err::metadata(&real)?.uid();
    let mut entries = WalkDir::new(layout.root()).follow_links(false).sort_by_file_name().into_iter();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(layout.root()).to_owned();
                let kind = error.io_error().map(io::Error::kind);
                let who = audience(layout, offer, &path);
                if kind == Some(io::ErrorKind::PermissionDenied)
                    && matches!(who, Audience::Group | Audience::Unknown)
                {
                    continue; // it is not for whoever looks
                }
                problems.push(Problem {
                    message: format!("cannot be looked into: {error}"),
                    hint: format!("run it as {}, who owns the cache", name(owner)),
                    mode: "?".into(),
                    path,
                    above_cache: false,
                    mend: Access::default(),
                });
                continue;
            }
        };
        let who = audience(layout, offer, entry.path());
        problems.extend(stranger(&entry, owner)?);
        if entry.path_is_symlink() {
            problems.extend(foreign_link(entry.path(), &real)); // links have no permissions of their own
            continue;
        }
        problems.extend(entry_problem(&entry, who)?);
        if who == Audience::Owner && entry.file_type().is_dir() {
            entries.skip_current_dir(); // what is in a closed folder is nobody's concern
        }
    }
    Ok(problems)
}

/// What one user cannot read of what a cache offers him, with every folder on the way to it.
pub fn check_as(layout: &Layout, offer: &Offer, viewer: &Viewer) -> io::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let real = fs_err::canonicalize(layout.root())?;
    let problem =
        |path: &Path, metadata: &std::fs::Metadata, what: &str, hint: String, above_cache| Problem {
            path: path.to_owned(),
            mode: format!("{:04o}", metadata.mode() & 0o7777),
            message: format!("{} {what}", viewer.name),
            hint,
            above_cache,
            mend: Access::default(),
        };
    for folder in real.ancestors().skip(1) {
        let metadata = fs_err::metadata(folder)?;
        if !viewer.may_pass(folder, &metadata) {
            let hint = format!("if that is meant to change: chmod o+x {}", folder.display());
            problems.push(problem(
                folder,
                &metadata,
                "cannot pass through, on the way to the cache",
                hint,
                true,
            ));
        }
    }
    let mut entries = WalkDir::new(layout.root()).follow_links(false).sort_by_file_name().into_iter();
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(io::Error::from)?;
        if entry.path_is_symlink() {
            continue; // what it leads to is looked at itself, or is no part of the cache
        }
        let metadata = entry.metadata().map_err(io::Error::from)?;
        let who = audience(layout, offer, entry.path());
        let is_his = match who {
            Audience::Everybody => true,
            Audience::Group => viewer.is_in(metadata.gid()),
            Audience::Unknown | Audience::Owner | Audience::OwnerAndGroup => false,
        };
        let may_read = viewer.may_read(entry.path(), &metadata);
        let may_run = !offer.is_program(entry.path()) || viewer.may_run(entry.path(), &metadata);
        if is_his && !(may_read && may_run) {
            let what = match (metadata.is_dir(), may_read) {
                (true, _) => "cannot enter and list it",
                (false, false) => "cannot read it",
                (false, true) => "cannot run it",
            };
            let hint = if entry_problem(&entry, who)?.is_some() || !may_run {
                FIX.to_owned()
            } else {
                format!("`getfacl {}` shows who may", entry.path().display())
            };
            problems.push(problem(entry.path(), &metadata, what, hint, false));
        }
        if entry.file_type().is_dir() && !(is_his && may_read) {
            entries.skip_current_dir();
        }
    }
    Ok(problems)
}

/// The folders above a cache that do not let everybody through.
pub fn parents(cache: &Path) -> io::Result<Vec<Problem>> {
    let real = fs_err::canonicalize(cache)?;
    let mut problems = Vec::new();
    for folder in real.ancestors().skip(1) {
        let mode = fs_err::metadata(folder)?.mode() & 0o7777;
        if mode & 0o001 == 0 {
            problems.push(Problem {
                path: folder.to_owned(),
                mode: format!("{mode:04o}"),
                message: "does not let everybody through, so other users cannot reach the cache".into(),
                hint: format!("if that is meant to change: chmod o+x {}", folder.display()),
                above_cache: true,
                mend: Access::default(),
            });
        }
    }
    Ok(problems)
}

/// What belongs to neither root, nor the cache's owner, nor whoever runs this, can be changed behind their backs.
fn stranger(entry: &DirEntry, cache_owner: u32) -> io::Result<Option<Problem>> {
    let metadata = entry.metadata().map_err(io::Error::other)?;
    let owner = metadata.uid();
    if owner == 0 || owner == cache_owner || owner == geteuid().as_raw() {
        return Ok(None);
    }
    Ok(Some(Problem {
        path: entry.path().to_owned(),
        mode: format!("{:04o}", metadata.mode() & 0o7777),
        message: format!("belongs to {}, not to the cache's owner {}", name(owner), name(cache_owner)),
        hint: FIX.into(),
        above_cache: false,
        mend: Access { owner: Some(cache_owner), ..Access::default() },
    }))
}

/// A user's name, or the number of one that has none.
fn name(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// A link by which the cache offers what is not in it.
fn foreign_link(link: &Path, root: &Path) -> Option<Problem> {
    let message = match fs_err::canonicalize(link) {
        Ok(target) if target.starts_with(root) => return None,
        Ok(target) => format!("is a link that leads out of the cache, to {}", target.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "is a link that leads to nothing".into(),
        Err(error) => format!("is a link that cannot be followed: {}", error.kind()),
    };
    Some(Problem {
        path: link.to_owned(),
        mode: "link".into(),
        message,
        hint: format!("rm {}", link.display()),
        above_cache: false,
        mend: Access::default(),
    })
}

/// Bits with which a file runs as somebody else: nothing in a cache needs them. Folders may hand their group on.
const RUNS_AS: u32 = 0o6000;

fn entry_problem(entry: &DirEntry, who: Audience) -> io::Result<Option<Problem>> {
    let mode = entry.metadata().map_err(io::Error::other)?.mode() & 0o7777;
    let is_dir = entry.file_type().is_dir();
    let (needed, forbidden) = match (who, is_dir) {
        (Audience::Everybody, true) => (0o555, 0o002),
        (Audience::Everybody, false) => (0o444, 0o002 | RUNS_AS),
        (Audience::Unknown, true) => (0o000, 0o002),
        (Audience::Unknown, false) => (0o000, 0o002 | RUNS_AS),
        (Audience::Owner, _) => (0o000, 0o077),
        (Audience::OwnerAndGroup, _) => (0o000, 0o027),
        (Audience::Group, true) => (0o550, 0o007),
        (Audience::Group, false) => (0o440, 0o007 | RUNS_AS),
    };
    // A list may take rights away from one who has them by the mode, and give some to one who has none.
    let acl = matches!(who, Audience::Everybody | Audience::Group) && has_acl(entry.path());
    let message = if mode & needed != needed {
        match (who, is_dir) {
            (Audience::Group, true) => "cannot be entered and listed by its group",
            (Audience::Group, false) => "cannot be read by its group",
            (_, true) => "cannot be entered and listed by everybody",
            (_, false) => "cannot be read by everybody",
        }
    } else if mode & forbidden & RUNS_AS != 0 {
        "runs as its owner or group, whoever runs it"
    } else if mode & forbidden != 0 {
        match who {
            Audience::Everybody | Audience::Unknown => "can be written by everybody",
            _ => "is open to others",
        }
    } else if acl {
        "has an access control list"
    } else {
        return Ok(None);
    };
    let wanted = (mode | needed | if is_dir && needed != 0 { 0o700 } else { 0 }) & !forbidden;
    Ok(Some(Problem {
        path: entry.path().to_owned(),
        mode: format!("{mode:04o}"),
        message: message.into(),
        hint: FIX.into(),
        above_cache: false,
        mend: Access { mode: Some(wanted).filter(|wanted| *wanted != mode), acl, ..Access::default() },
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn each_wrong_mode_is_named_with_the_command_that_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        chmod(dir.path(), 0o755);
        let cache = dir.path().join("cache");
        for (folder, mode) in [
            ("models/closed", 0o700),
            ("models/unknown", 0o700),
            ("models/open", 0o777),
            (".locks", 0o755),
            ("images/.store", 0o700),
            ("images/.staging", 0o755),
        ] {
            fs_err::create_dir_all(cache.join(folder)).unwrap();
            chmod(&cache.join(folder), mode);
        }
        for part in ["models", "images"] {
            chmod(&cache.join(part), 0o755);
        }
        chmod(&cache, 0o755);
        let layout = Layout::new(&cache);
        fs_err::create_dir_all(layout.bin()).unwrap();
        fs_err::write(layout.bin().join("program"), "").unwrap();
        chmod(&layout.bin(), 0o755);
        chmod(&layout.bin().join("program"), 0o4755);
        let mut offer = Offer::of_layout(&layout);
        offer.tree(layout.models().join("closed"), For::Everybody);
        let found: Vec<String> = check(&layout, &offer)
            .unwrap()
            .into_iter()
            .filter(|problem| !problem.above_cache)
            .map(|problem| format!("{}: {}", layout.relative(&problem.path).display(), problem.message))
            .collect();
        assert_eq!(
            found,
            [
                ".locks: is open to others",
                "bin/program: runs as its owner or group, whoever runs it",
                "images/.staging: is open to others",
                "images/.store: cannot be entered and listed by everybody",
                "models/closed: cannot be entered and listed by everybody",
                "models/open: can be written by everybody",
            ]
        );
    }

    #[test]
    fn a_list_that_takes_rights_away_is_named_and_one_user_is_asked_for_what_he_must_run() {
        let dir = tempfile::tempdir().unwrap();
        chmod(dir.path(), 0o755);
        let layout = Layout::new(dir.path().join("cache"));
        fs_err::create_dir_all(layout.bin()).unwrap();
        let file = layout.bin().join("bf-user");
        fs_err::write(&file, "").unwrap();
        for (path, mode) in [(layout.root(), 0o755), (&layout.bin(), 0o755), (&file, 0o644)] {
            chmod(path, mode);
        }
        let mut offer = Offer::of_layout(&layout);
        offer.program(file.clone());
        let Some(viewer) = Viewer::named("nobody").unwrap() else { return };
        let found = check_as(&layout, &offer, &viewer).unwrap();
        let inside: Vec<&Problem> = found.iter().filter(|problem| !problem.above_cache).collect();
        assert!(matches!(&inside[..], [one] if one.message == "nobody cannot run it" && one.hint == FIX));
        chmod(&file, 0o755);
        let inside = || -> Vec<Problem> {
            let found = check(&layout, &offer).unwrap();
            found.into_iter().filter(|problem| !problem.above_cache).collect()
        };
        assert_eq!(inside(), []);
        if crate::publish::give_acl(&file, false, 65_534, 0) {
            let found = inside();
            assert!(found[0].message == "has an access control list" && found[0].mend.acl, "{found:?}");
        }
    }

    #[test]
    fn a_closed_folder_above_the_cache_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("closed/cache");
        fs_err::create_dir_all(&cache).unwrap();
        chmod(&dir.path().join("closed"), 0o700);
        let problems = parents(&cache).unwrap();
        assert!(problems.iter().any(|problem| problem.above_cache && problem.path.ends_with("closed")));
    }

    #[test]
    fn strangers_and_links_that_lead_out_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        fs_err::create_dir(&cache).unwrap();
        fs_err::write(cache.join("file"), "").unwrap();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, cache.join(name)).unwrap();
        link("file", "inside");
        link("/etc", "outside");
        link("gone", "nothing");
        let layout = Layout::new(&cache);
        let found = || -> Vec<String> {
            let inside = check(&layout, &Offer::of_layout(&layout))
                .unwrap()
                .into_iter()
                .filter(|problem| !problem.above_cache);
            inside
                .map(|problem| format!("{}: {}", layout.relative(&problem.path).display(), problem.message))
                .collect()
        };
        chmod(&cache, 0o755);
        chmod(&cache.join("file"), 0o644);
        assert_eq!(
            found(),
            [
                "nothing: is a link that leads to nothing",
                "outside: is a link that leads out of the cache, to /etc"
            ]
        );
        if geteuid().is_root() {
            std::os::unix::fs::lchown(cache.join("file"), Some(54_321), None).unwrap();
            assert!(
                found()[0].starts_with("file: belongs to 54321, not to the cache's owner "),
                "{:?}",
                found()
            );
        }
    }
}
