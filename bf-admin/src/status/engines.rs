//! The native engines of the cache against those that are declared.

use bf_core::publish::clear;
use bf_core::site::{Declared, Layout, Locked, Part};

use super::{Item, State, item, setup, subfolders, undeclared, way};
use crate::plan::{engine_fault, engine_need};
use crate::present::{self, Depth, Disk};

pub(super) fn engines(
    items: &mut Vec<Item>,
    layout: &Layout,
    declared: &Declared,
    locked: &Locked,
    depth: Depth,
) {
    for (id, wanted) in &declared.engines {
        let facts = present::engine(layout, locked, id, depth);
        let own = locked.engines.get(id);
        let version = own.map(|own| own.version.clone()).unwrap_or_default();
        let path = layout.engine(id, &version);
        let fault = engine_fault(id, wanted, &facts);
        let hint = fault.as_ref().map_or_else(|| way(clear(layout, &path)), |fault| fault.hint.clone());
        let (state, detail) = match (fault, engine_need(wanted, own, &facts)) {
            (Some(failure), _) => (State::Drifted, failure.message),
            (None, None) => (State::Present, version),
            (None, Some(why)) => match facts.disk {
                Disk::Absent
                    if own.is_none() && !subfolders(&layout.part(Part::Engines).join(id)).is_empty() =>
                {
                    (State::Drifted, "not in site.lock: its bytes cannot be checked".into())
                }
                Disk::Absent => (State::Missing, why),
                Disk::Damaged(_) => (State::Damaged, why),
                Disk::Whole | Disk::Drifted(_) => (State::Drifted, why),
            },
        };
        let item = Item { hint, ..item("engine", id, path, state, detail) };
        items.push(item.mended_by(|| setup(depth)));
    }
    for (id, own) in locked.engines.iter().filter(|(id, _)| !declared.engines.contains_key(*id)) {
        let path = layout.engine(id, &own.version);
        let disk = present::locked_engine(layout, id, own, depth);
        let hint = || format!("declare it again, or `rm -r {}`", bf_core::report::shell_quoted(&path));
        items.extend(undeclared("engine", id, &path, disk).map(|item| item.mended_by(hint)));
    }
    for (id, path) in subfolders(&layout.part(Part::Engines)) {
        for (version, path) in subfolders(&path) {
            if locked.engines.get(&id).is_none_or(|own| own.version != version) {
                let why =
                    if declared.engines.contains_key(&id) { "not in site.lock" } else { "not declared" };
                items.push(item("engine", format!("{id} {version}"), path, State::Unmanaged, why));
            }
        }
    }
}
