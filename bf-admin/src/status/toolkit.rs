//! The toolkit of the cache against the bf-user beside this bf-admin.

use std::path::Path;

use bf_core::site::{Layout, Locked};

use super::{Item, State, item, setup};
use crate::plan;
use crate::present::{Depth, Disk};
use crate::toolkit::{self, ARCH, Need, PROGRAM, arch_of};

const KIND: &str = "toolkit";

/// `declared`: whether there is a site.yaml, whose `setup` publishes it.
pub(super) fn toolkit(
    items: &mut Vec<Item>,
    layout: &Layout,
    locked: &Locked,
    program: &Path,
    declared: bool,
    depth: Depth,
) {
    let facts = toolkit::gather(layout, locked, program, depth);
    let path = layout.bin().join(PROGRAM);
    if facts.own.is_none() && !declared {
        return;
    }
    let version = facts.own.as_ref().or(facts.linked.as_ref()).and_then(|file| file.path.split('/').nth(1));
    let (state, detail) = match (&facts.beside, facts.need(), &facts.disk) {
        (_, Need::Publish(why), Disk::Damaged(_)) => (State::Damaged, why),
        (_, Need::None, Disk::Damaged(why)) => (State::Damaged, why.clone()),
        (_, Need::None, _) => (State::Missing, String::new()),
        (Err(failure), ..) => (State::Drifted, failure.message.clone()),
        (_, Need::Publish(why), Disk::Absent) => (State::Missing, why),
        (_, Need::Publish(why) | Need::Link(why), _) => (State::Drifted, why),
        (_, Need::Nothing, _) => (State::Present, version.unwrap_or_default().to_owned()),
    };
    let failed = facts.beside.as_ref().err().or(facts.way.as_ref().err());
    let hint = match failed {
        Some(failure) => failure.hint.clone(),
        None if facts.need() == Need::None => plan::without_toolkit(&facts).hint,
        None => None,
    };
    let one = Item { hint, ..item(KIND, format!("{PROGRAM} {ARCH}"), path, state, detail) };
    items.push(one.mended_by(|| setup(depth)));
    // Of other architectures only what the lock says can be told.
    let others =
        locked.toolkit.iter().flat_map(|toolkit| &toolkit.files).filter(|file| arch_of(file) != ARCH);
    for file in others {
        let (state, detail) = match toolkit::file(layout, file, depth) {
            Disk::Whole => (State::Present, file.path.split('/').nth(1).unwrap_or_default().to_owned()),
            Disk::Absent => (State::Missing, format!("{} is missing", file.path)),
            Disk::Drifted(why) => (State::Drifted, why),
            Disk::Damaged(why) => (State::Damaged, why),
        };
        let name = format!("{PROGRAM} {}", arch_of(file));
        let other = item(KIND, name, layout.root().join(&file.path), state, detail);
        items.push(
            other.mended_by(|| format!("`bf-admin setup` on a machine with {} mends it", arch_of(file))),
        );
    }
}
