//! The user's own models: below his own folder, in the layout of the Hub's own clients, as in the shared cache. What other clients have
//! put there is his as well, and stays as it is.

mod add;
mod remove;
mod used;

use std::path::Path;

use bf_core::publish::Publisher;
use bf_core::report::Failure;
use bf_core::site::{Locked, Part};

pub(crate) use add::{Added, Change, Wanted, add};
pub(crate) use remove::{Removed, remove};

use crate::folder;
use crate::printer::Printer;

/// What of a cache there is in a user's folder. His images, which are there too, are not ours to touch.
const PARTS: [Part; 2] = [Part::Top, Part::Models];

/// Does `work` as the one writer of the user's models.
fn change<T>(
    home_dir: &Path,
    printer: Printer,
    work: impl FnOnce(&Publisher<'_>, &mut Locked) -> Result<T, Failure>,
) -> Result<T, Failure> {
    folder::change(home_dir, &PARTS, "models", printer, work).map_err(explained)
}

/// What a user can do, where the library knows what an administrator can.
fn explained(failure: Failure) -> Failure {
    let hint = match failure.code {
        "link_in_the_way" => {
            "move it away and run the command again; to have your models elsewhere set BLACKFISH_HOME_DIR"
        }
        "no_space" => {
            "make room (`bf-user model ls`, `bf-user model rm`), or set BLACKFISH_HOME_DIR to a folder with more of it"
        }
        _ => return failure,
    };
    failure.with_hint(hint)
}
