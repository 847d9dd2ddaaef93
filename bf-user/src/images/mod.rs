//! The user's own images: below his own folder, in the same form as in the shared cache, with a lock and a `site.lock` of their own.
//!
//! The folder may be shared by hosts, so there is one writer at a time, and what is published never changes: services run from it.

mod maker;
mod pull;
mod registries;
mod sweep;

use std::path::Path;

use bf_core::publish::Publisher;
use bf_core::report::Failure;
use bf_core::site::{Layout, Locked, Part};

pub(crate) use maker::How;
pub(crate) use pull::{Change, Fetched, pull};
pub(crate) use sweep::sweep;

use crate::folder;
use crate::printer::Printer;

/// What of a cache there is in a user's folder. His models, which are there too, are not ours to touch.
const PARTS: [Part; 2] = [Part::Top, Part::Images];

/// The user's own images, if he has some. A folder of somebody else's has none that are his.
pub(crate) fn own(home_dir: &Path) -> Result<Option<Layout>, Failure> {
    Ok(folder::own(home_dir)?.filter(|layout| layout.images().is_dir()))
}

/// Does `work` as the one writer of the user's images.
pub(crate) fn change<T>(
    home_dir: &Path,
    printer: Printer,
    work: impl FnOnce(&Publisher<'_>, &mut Locked) -> Result<T, Failure>,
) -> Result<T, Failure> {
    folder::change(home_dir, &PARTS, "images", printer, work).map_err(explained)
}

/// What a user can do, where the library knows what an administrator can.
fn explained(failure: Failure) -> Failure {
    let hint = match failure.code {
        "link_in_the_way" => {
            "move it away and run the command again; to have your images elsewhere set BLACKFISH_HOME_DIR"
        }
        "no_space" => {
            "make room (`bf-user image ls`, `bf-user image rm`), or set BLACKFISH_HOME_DIR to a folder with more of it"
        }
        _ => return failure,
    };
    failure.with_hint(hint)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use bf_core::report::Format;

    use super::*;

    #[test]
    fn the_folder_is_made_for_its_owner_alone_and_models_elsewhere_are_let_be() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("a/home");
        let go = || change(&home, Printer::new(Format::Quiet), |_, _| Ok(()));
        assert_eq!(own(&home).unwrap(), None);
        go().unwrap();
        let mode = || fs_err::metadata(&home).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(), 0o700);
        assert!(own(&home).unwrap().is_some());
        for absent in ["models", "engines", "toolkit", "audit.jsonl"] {
            assert!(!home.join(absent).exists(), "{absent}");
        }
        std::os::unix::fs::symlink("/nonexistent", home.join("models")).unwrap();
        go().unwrap();
        fs_err::rename(home.join("images"), dir.path().join("scratch")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("scratch"), home.join("images")).unwrap();
        let failure = go().unwrap_err();
        assert!(failure.hint.as_ref().unwrap().contains("BLACKFISH_HOME_DIR"), "{failure}");
        assert_eq!(mode(), 0o700);
    }
}
