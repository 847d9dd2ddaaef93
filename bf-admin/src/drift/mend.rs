//! Mends what was found, through the publisher.

use std::path::Path;

use bf_core::publish::{Access, Content, Publisher};
use bf_core::report::Failure;

use super::{Mend, vouched};

/// Mends one after the other. What one person may not change, another may: that does not keep the rest from being mended.
pub(crate) fn mend(publisher: &Publisher<'_>, mends: &[Mend], tell: &dyn Fn(&str)) -> Result<(), Failure> {
    let mut first = Ok(());
    for mend in mends {
        if let Err(failure) = one(publisher, mend, tell) {
            first = first.and(Err(failure));
        }
    }
    first
}

/// Sets mode, owner and group of a path. What was somebody else's and is given to the owner of the cache is believed from then on, so that
/// its bytes must be those of site.lock.
pub(crate) fn set(publisher: &Publisher<'_>, path: &Path, access: Access) -> Result<(), Failure> {
    if access.owner.is_some() {
        vouched::check(publisher.layout(), path)?;
    }
    Ok(publisher.repair(path, access)?)
}

fn one(publisher: &Publisher<'_>, mend: &Mend, tell: &dyn Fn(&str)) -> Result<(), Failure> {
    match mend {
        Mend::Access(path, access) => set(publisher, path, *access)?,
        Mend::Quarantine(part, path) => {
            let to = publisher.quarantine(*part, path)?;
            tell(&format!("{} is now {}", path.display(), to.display()));
        }
        Mend::Record(..) => {} // in site.lock, by who has it
        Mend::Link(part, at, target, policy) => publisher.with(*policy).link(*part, at, target)?,
        Mend::File(part, to, text, policy) => {
            let publisher = publisher.with(*policy);
            let stage = publisher.stage(*part)?;
            let staged = stage.path().join("file");
            fs_err::write(&staged, text)?;
            publisher.publish(&staged, to, Content::Model)?;
        }
    }
    Ok(())
}
