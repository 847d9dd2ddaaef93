//! Which bf-user a job runs.

use std::path::PathBuf;

use bf_core::report::Failure;
use bf_core::site::{self, Layout};

/// The cache's own copy of this very version, which other nodes see as well; else this program itself.
pub(super) fn of_job(layout: &Layout) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    let copy = layout.toolkit(env!("CARGO_PKG_VERSION"), std::env::consts::ARCH).join("bf-user");
    // A folder or a link that somebody else could change is no place for a program that users run.
    if copy != own && copy.is_file() { Ok(site::trusted(layout.root(), &copy)?) } else { Ok(own) }
}
