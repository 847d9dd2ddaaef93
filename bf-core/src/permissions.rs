//! Whether everybody can read what a cache offers, and nobody what it does not: modes and owners of all in it, where its
//! links lead, and every folder above it.

mod offer;
mod viewer;

pub use offer::{For, Offer};
pub use viewer::Viewer;
use viewer::lets_others_write;

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};
use serde::Serialize;
use walkdir::WalkDir;

use crate::publish::{Access, has_acl};
use crate::report::shell_quoted;
use crate::site::Layout;

/// One path whose permissions are not as they should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Absolute path.
    #[serde(serialize_with = "crate::report::lossy::path")]
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
        let looked = entry.and_then(|entry| Ok((entry.metadata()?, entry)));
        let (metadata, entry) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                problems.extend(unseen(layout, offer, owner, &error));
                continue;
            }
        };
        let who = audience(layout, offer, entry.path());
        let strange = stranger(entry.path(), &metadata, owner);
        if metadata.is_symlink() {
            // Links have no permissions of their own.
            problems.extend(strange.or_else(|| foreign_link(entry.path(), &real)));
            continue;
        }
        let own = entry_problem(entry.path(), &metadata, who);
        problems.extend(match (strange, own) {
            // It is not ours, and its owner would have it as he likes: nothing is set.
            (Some(strange), Some(own)) => {
                Some(Problem { message: format!("{}, and {}", strange.message, own.message), ..strange })
            }
            (strange, own) => strange.or(own),
        });
        if who == Audience::Owner && metadata.is_dir() {
            problems.extend(programs_of_others(entry.path(), owner));
            entries.skip_current_dir(); // what else is in a closed folder is nobody's concern
        }
    }
    Ok(problems)
}

/// What cannot be looked at: a problem, unless it is gone by now, or not for whoever looks.
fn unseen(layout: &Layout, offer: &Offer, owner: u32, error: &walkdir::Error) -> Option<Problem> {
    let path = error.path().unwrap_or(layout.root()).to_owned();
    let who = audience(layout, offer, &path);
    let hint = match error.io_error().map(io::Error::kind) {
        Some(io::ErrorKind::NotFound) => return None,
        Some(io::ErrorKind::PermissionDenied) if matches!(who, Audience::Group | Audience::Unknown) => {
            return None;
        }
        Some(io::ErrorKind::PermissionDenied) => format!("run it as {}, who owns the cache", name(owner)),
        _ => "find out who made it, and remove it".into(),
    };
    Some(Problem {
        message: format!("cannot be looked into: {}", kind_of(error)),
        hint,
        mode: "?".into(),
        path,
        above_cache: false,
        mend: Access::default(),
    })
}

/// Why a walk could not go on, without the path, which may be thousands of characters long.
fn kind_of(error: &walkdir::Error) -> String {
    error.io_error().map_or_else(|| "it leads to itself".into(), |error| error.kind().to_string())
}

/// The files in a closed folder that run as somebody else. Nobody reaches them there, until something of it is moved.
fn programs_of_others(folder: &Path, owner: u32) -> Vec<Problem> {
    let below = WalkDir::new(folder).min_depth(1).follow_links(false).sort_by_file_name();
    let looked = below.into_iter().flatten().filter_map(|entry| Some((entry.metadata().ok()?, entry)));
    let found = looked.filter(|(metadata, _)| metadata.is_file() && metadata.mode() & RUNS_AS != 0);
    found
        .map(|(metadata, entry)| {
            let mode = metadata.mode() & 0o7777;
            let is_strange = stranger(entry.path(), &metadata, owner).is_some();
            Problem {
                path: entry.path().to_owned(),
                mode: format!("{mode:04o}"),
                message: RUNS.into(),
                hint: if is_strange { adopt(entry.path()) } else { FIX.into() },
                above_cache: false,
                mend: Access { mode: Some(mode & !RUNS_AS).filter(|_| !is_strange), ..Access::default() },
            }
        })
        .collect()
}

/// What one user cannot read of what a cache offers him, with every folder on the way to it.
pub fn check_as(layout: &Layout, offer: &Offer, viewer: &Viewer) -> io::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let real = fs_err::canonicalize(layout.root())?;
    let owner = fs_err::metadata(&real)?.uid();
    let problem = |path: &Path, metadata: &Metadata, what: &str, hint: String, above_cache| Problem {
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
            let hint = format!("if that is meant to change: chmod o+x {}", shell_quoted(folder));
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
        let (metadata, entry) = match entry.and_then(|entry| Ok((entry.metadata()?, entry))) {
            Ok(looked) => looked,
            Err(error) => {
                // What whoever asks may not look into himself he cannot tell about.
                problems.extend(unseen(layout, offer, owner, &error));
                continue;
            }
        };
        if metadata.is_symlink() {
            continue; // what it leads to is looked at itself, or is no part of the cache
        }
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
            let hint = if entry_problem(entry.path(), &metadata, who).is_some() || !may_run {
                FIX.to_owned()
            } else {
                format!("`getfacl {}` shows who may", shell_quoted(entry.path()))
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
                hint: format!("if that is meant to change: chmod o+x {}", shell_quoted(folder)),
                above_cache: true,
                mend: Access::default(),
            });
        }
    }
    Ok(problems)
}

/// What belongs to neither root, nor the cache's owner, nor whoever runs this, can be changed behind their backs. Given to the owner it
/// would be believed, whatever is in it: that nobody does for him.
fn stranger(path: &Path, metadata: &Metadata, cache_owner: u32) -> Option<Problem> {
    let owner = metadata.uid();
    if owner == 0 || owner == cache_owner || owner == geteuid().as_raw() {
        return None;
    }
    Some(Problem {
        path: path.to_owned(),
        mode: format!("{:04o}", metadata.mode() & 0o7777),
        message: format!("belongs to {}, not to the cache's owner {}", name(owner), name(cache_owner)),
        hint: adopt(path),
        above_cache: false,
        mend: Access::default(),
    })
}

/// What is to be done about what somebody else put there.
fn adopt(path: &Path) -> String {
    let path = shell_quoted(path);
    format!(
        "it is left as it is: find out who put it there, then `rm -r {path}`, or put a copy of your own in its place"
    )
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
        hint: format!("rm {}", shell_quoted(link)),
        above_cache: false,
        mend: Access::default(),
    })
}

/// Bits with which a file runs as somebody else: nothing in a cache needs them. Folders may hand their group on.
const RUNS_AS: u32 = 0o6000;

const RUNS: &str = "runs as its owner or group, whoever runs it";

fn entry_problem(path: &Path, metadata: &Metadata, who: Audience) -> Option<Problem> {
    let mode = metadata.mode() & 0o7777;
    let is_dir = metadata.is_dir();
    let (needed, forbidden) = match (who, is_dir) {
        (Audience::Everybody, true) => (0o555, 0o002),
        (Audience::Everybody, false) => (0o444, 0o002 | RUNS_AS),
        (Audience::Unknown, true) => (0o000, 0o002),
        (Audience::Unknown, false) => (0o000, 0o002 | RUNS_AS),
        (Audience::Owner, true) => (0o000, 0o077),
        (Audience::Owner, false) => (0o000, 0o077 | RUNS_AS),
        (Audience::OwnerAndGroup, true) => (0o000, 0o027),
        (Audience::OwnerAndGroup, false) => (0o000, 0o027 | RUNS_AS),
        (Audience::Group, true) => (0o550, 0o007),
        (Audience::Group, false) => (0o440, 0o007 | RUNS_AS),
    };
    // A list may take rights away from one who has them by the mode, and give some to one who has none. What nobody declares may have one
    // that lets others read: that is as its owner has it.
    let lets_write = lets_others_write(path);
    let acl = lets_write || who != Audience::Unknown && has_acl(path);
    let message = if mode & needed != needed {
        match (who, is_dir) {
            (Audience::Group, true) => "cannot be entered and listed by its group",
            (Audience::Group, false) => "cannot be read by its group",
            (_, true) => "cannot be entered and listed by everybody",
            (_, false) => "cannot be read by everybody",
        }
    } else if mode & forbidden & RUNS_AS != 0 {
        RUNS
    } else if mode & forbidden != 0 {
        match who {
            Audience::Everybody | Audience::Unknown => "can be written by everybody",
            _ => "is open to others",
        }
    } else if lets_write {
        "has an access control list that lets others write"
    } else if acl {
        "has an access control list"
    } else {
        return None;
    };
    // With a list, the bits of the group are what it lets through at most, and would be the group's own without it.
    let forbidden = if lets_write { forbidden | 0o020 } else { forbidden };
    let wanted = (mode | needed | if is_dir && needed != 0 { 0o700 } else { 0 }) & !forbidden;
    Some(Problem {
        path: path.to_owned(),
        mode: format!("{mode:04o}"),
        message: message.into(),
        hint: FIX.into(),
        above_cache: false,
        mend: Access { mode: Some(wanted).filter(|wanted| *wanted != mode), acl, ..Access::default() },
    })
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
            chmod(&cache.join("file"), 0o4777);
            std::os::unix::fs::lchown(cache.join("file"), Some(54_321), None).unwrap();
            chmod(&cache.join("file"), 0o4777);
            assert!(
                found()[0].starts_with("file: belongs to 54321, not to the cache's owner "),
                "{:?}",
                found()
            );
            assert!(
                found()[0].ends_with(", and runs as its owner or group, whoever runs it"),
                "{:?}",
                found()
            );
            let theirs = check(&layout, &Offer::of_layout(&layout)).unwrap();
            let theirs: Vec<&Problem> =
                theirs.iter().filter(|problem| problem.path.ends_with("file")).collect();
            assert!(
                matches!(&theirs[..], [one] if one.mend.is_empty() && one.hint.starts_with("it is left"))
            );
        }
    }

    #[test]
    fn what_runs_as_others_and_what_lists_let_them_write_is_found_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().join("cache"));
        let hidden = layout.models().join(".quarantine/deep");
        fs_err::create_dir_all(&hidden).unwrap();
        chmod(layout.root(), 0o755);
        chmod(&layout.models(), 0o755);
        chmod(&layout.models().join(".quarantine"), 0o700);
        let other = layout.root().join("other");
        fs_err::create_dir(&other).unwrap();
        chmod(&other, 0o755);
        for file in [hidden.join("tool"), layout.audit(), other.join("tool")] {
            fs_err::write(&file, "").unwrap();
            chmod(&file, 0o2700);
        }
        let found = || -> Vec<Problem> {
            let found = check(&layout, &Offer::of_layout(&layout)).unwrap();
            found.into_iter().filter(|problem| !problem.above_cache).collect()
        };
        assert_eq!(found().len(), 3, "{:?}", found());
        assert!(
            found().iter().all(|problem| problem.message == RUNS && problem.mend.mode == Some(0o700)),
            "{:?}",
            found()
        );
        for problem in found() {
            chmod(&problem.path, problem.mend.mode.unwrap());
        }
        assert_eq!(found(), []);
        for hand_down in [false, true] {
            if crate::publish::give_acl(&other, hand_down, 65_534, 7) {
                let found = found();
                assert!(found[0].message.ends_with("lets others write") && found[0].mend.acl, "{found:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_looked_at_does_not_hide_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().join("cache"));
        fs_err::create_dir_all(layout.root().join("z")).unwrap();
        chmod(layout.root(), 0o755);
        chmod(&layout.root().join("z"), 0o777);
        // Deeper than a path may be long.
        let mut at =
            nix::fcntl::open(layout.root(), nix::fcntl::OFlag::O_PATH, nix::sys::stat::Mode::empty())
                .unwrap();
        let name = "d".repeat(200);
        for _ in 0..25 {
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o755);
            nix::sys::stat::mkdirat(&at, name.as_str(), mode).unwrap();
            let flags = nix::fcntl::OFlag::O_PATH;
            at = nix::fcntl::openat(&at, name.as_str(), flags, nix::sys::stat::Mode::empty()).unwrap();
        }
        let found = check(&layout, &Offer::of_layout(&layout)).unwrap();
        assert!(found.iter().any(|problem| problem.message.starts_with("cannot be looked into")));
        assert!(found.iter().any(|problem| problem.path.ends_with("z")));
        if let Some(viewer) = Viewer::named("nobody").unwrap() {
            check_as(&layout, &Offer::of_layout(&layout), &viewer).unwrap();
        }
    }
}
