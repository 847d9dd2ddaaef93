//! The user's own folder as a small cache: one writer at a time, whatever the host, and a `site.lock` of its own. Images and models of his own
//! are in it, in the same form as in the shared cache.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bf_core::lock::{Notice, Owner, Patience, SiteGuard};
use bf_core::publish::{Policy, Publisher, clear_these};
use bf_core::report::{Exit, Failure, human_bytes};
use bf_core::site::{Layout, Locked, Part};
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use crate::printer::Printer;

/// The folder, if there is one of this user's. One of somebody else's has nothing that is his.
pub(crate) fn own(home_dir: &Path) -> Result<Option<Layout>, Failure> {
    if !home_dir.is_dir() {
        return Ok(None);
    }
    let root = fs_err::canonicalize(home_dir)?;
    let is_own = fs_err::metadata(&root)?.uid() == geteuid().as_raw();
    Ok(is_own.then(|| Layout::new(root)))
}

/// Does `work` as the one writer of the folder, of which only `parts` are touched: what is in them is `called` so. The folder is made if it
/// is missing, for its owner alone; one that is there keeps its mode.
pub(crate) fn change<T>(
    home_dir: &Path,
    parts: &[Part],
    called: &str,
    printer: Printer,
    work: impl FnOnce(&Publisher<'_>, &mut Locked) -> Result<T, Failure>,
) -> Result<T, Failure> {
    crate::store::make_home(home_dir)?;
    let root = fs_err::canonicalize(home_dir)?;
    let owner = fs_err::metadata(&root)?.uid();
    if owner != geteuid().as_raw() {
        let message =
            format!("{} belongs to user {owner}: your own {called} cannot be there", root.display());
        return Err(Failure::new(Exit::Permission, "not_owner", message)
            .with_hint("set BLACKFISH_HOME_DIR, or pass --home-dir, to a folder of yours"));
    }
    let layout = Layout::new(root);
    clear_these(&layout, parts)?;
    let mut tell = |notice: &Notice| {
        let who = |owner: &Option<Owner>| owner.as_ref().map_or("another process".into(), Owner::to_string);
        let place = layout.root().display();
        printer.note(&match notice {
            Notice::Held(owner) => format!("waiting for {}, who changes what is in {place}", who(owner)),
            Notice::Silent(owner, left) => format!(
                "nothing is heard of {}: {place} is taken over in {} s",
                who(owner),
                left.as_secs() + 1
            ),
            Notice::TakenOver(_) => return,
        });
    };
    let guard = SiteGuard::wait(&layout, Patience::Endless, &mut tell)?;
    // The folder is closed by its own mode, or open because the user wants it to be.
    let publisher = Publisher::of_parts(&guard, Policy::default(), parts)?;
    let mut locked = Locked::load(&layout)?;
    work(&publisher, &mut locked)
}

/// Refuses what the filesystem of a folder, which may not be there yet, has no room for. One that cannot be asked is let be: writing will tell.
/// `needed`: bytes, and files and folders. `what`: `the image q.io/a:1`.
pub(crate) fn fits(folder: &Path, (needed, entries): (u64, u64), what: &str) -> Result<(), Failure> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    let Ok(stat) = statvfs(there) else { return Ok(()) };
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    // Those that make inodes as they are needed say that they have none at all.
    if stat.files() > 0 && stat.files_available() < entries {
        let (free, folder) = (stat.files_available(), folder.display());
        let message = format!(
            "there are not enough inodes for {what}: it needs about {entries}, the filesystem of {folder} has {free}"
        );
        return Err(Failure::new(Exit::CannotCreate, "no_space", message));
    }
    if needed <= free {
        return Ok(());
    }
    let (needed, free, folder) = (human_bytes(needed), human_bytes(free), folder.display());
    let message = format!("there is no space for {what}: it needs {needed}, {folder} has {free}");
    Err(Failure::new(Exit::CannotCreate, "no_space", message))
}
