//! Publishes bf-user, and lets `bin/bf-user` lead to it.

use bf_core::digest;
use bf_core::publish::{Content, Publisher};
use bf_core::report::{Exit, Failure};
use bf_core::site::{Locked, LockedFile, LockedToolkit, Part};

use super::facts::{path, target, version_of};
use super::{ARCH, Beside, PROGRAM, arch_of};

/// Publishes what lies beside us, and writes it down in the lock. `relink`: whether `bin/bf-user` must lead to it.
///
/// Another build of the same version is renamed over the old one: what runs keeps its file, except on other hosts of a network
/// filesystem. Releases have versions of their own.
pub(crate) fn publish(
    publisher: &Publisher<'_>,
    locked: &mut Locked,
    beside: &Beside,
    relink: bool,
) -> Result<(), Failure> {
    let stage = publisher.stage(Part::Toolkit)?;
    let staged = stage.path().join(PROGRAM);
    let copied = digest::copy(&mut fs_err::File::open(&beside.path)?, &mut fs_err::File::create(&staged)?)?;
    if copied != (beside.sha256.clone(), beside.bytes) {
        let message = format!("{} was changed while it was read", beside.path.display());
        return Err(Failure::new(Exit::Invalid, "source_changed", message).with_hint("run the command again"));
    }
    let file = LockedFile { path: path(), sha256: beside.sha256.clone(), bytes: beside.bytes, blob: None };
    publisher.publish(&staged, &publisher.layout().root().join(&file.path), Content::Program)?;
    let toolkit = locked.toolkit.get_or_insert_default();
    toolkit.files.retain(|other| arch_of(other) != ARCH);
    toolkit.files.push(file.clone());
    toolkit.files.sort_by(|a, b| a.path.cmp(&b.path));
    if relink { lead(publisher, toolkit, &file) } else { Ok(()) }
}

/// Lets `bin/bf-user` lead to what the lock has for this architecture.
pub(crate) fn link(publisher: &Publisher<'_>, locked: &mut Locked) -> Result<(), Failure> {
    let Some(toolkit) = &mut locked.toolkit else { return Ok(()) };
    match toolkit.files.iter().find(|file| arch_of(file) == ARCH).cloned() {
        Some(file) => lead(publisher, toolkit, &file),
        None => Ok(()),
    }
}

fn lead(publisher: &Publisher<'_>, toolkit: &mut LockedToolkit, file: &LockedFile) -> Result<(), Failure> {
    let link = publisher.layout().bin().join(PROGRAM);
    publisher.link(Part::Top, &link, &target(file))?;
    version_of(file).clone_into(&mut toolkit.version);
    toolkit.sha256.clone_from(&file.sha256);
    Ok(())
}
