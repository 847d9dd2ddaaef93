//! What is to be done with a declared engine.

use bf_core::report::{Exit, Failure};
use bf_core::site::{DeclaredEngine, LockedEngine};

use super::{Change, Step, Task};
use crate::present::{Disk, EngineFacts};

/// Why an engine must be installed; nothing when it is as it should be, or cannot be.
pub(crate) fn need(
    wanted: &DeclaredEngine,
    locked: Option<&LockedEngine>,
    facts: &EngineFacts,
) -> Option<String> {
    let native = facts.native.as_ref().ok()?;
    if wanted.version.as_ref().is_some_and(|version| *version != native.version) {
        return None;
    }
    let Some(locked) = locked else { return Some("not there yet".into()) };
    if (&locked.package, &locked.version, &locked.sha256)
        != (&native.package, &native.version, &native.sha256)
    {
        return Some(format!("instead of {} {}", locked.package, locked.version));
    }
    match &facts.disk {
        Disk::Absent => return Some("its folder is missing".into()),
        Disk::Drifted(why) | Disk::Damaged(why) => return Some(why.clone()),
        Disk::Whole => {}
    }
    if !facts.python_is_there {
        return Some(format!("{} is no longer there", locked.python));
    }
    let other = facts.python.as_ref().filter(|python| python.as_os_str() != locked.python.as_str());
    other.map(|_| format!("instead of {}", locked.python))
}

/// The failure of an engine that cannot be had as it is declared.
pub(crate) fn fault(id: &str, wanted: &DeclaredEngine, facts: &EngineFacts) -> Option<Failure> {
    let native = match &facts.native {
        Ok(native) => native,
        Err(failure) => return Some(failure.clone()),
    };
    let version = wanted.version.as_ref().filter(|version| **version != native.version)?;
    let message = format!("the engine {id} is pinned to version {}, not {version}", native.version);
    Some(Failure::new(Exit::Invalid, "engine_version", message).with_hint(
        "leave out `version`, or define the engine with its own hashes in templates/services of the cache",
    ))
}

pub(super) fn step(
    id: &str,
    wanted: &DeclaredEngine,
    locked: Option<&LockedEngine>,
    facts: &EngineFacts,
) -> Step {
    const KIND: &str = "engine";
    if let Some(failure) = fault(id, wanted, facts) {
        return Step::fail(KIND, id, Change::Install, &failure);
    }
    let need = need(wanted, locked, facts);
    match (need, &facts.interpreter, &facts.native) {
        (Some(_), Some(Err(failure)), _) => Step::fail(KIND, id, Change::Install, failure),
        (Some(why), Some(Ok(interpreter)), Ok(native)) => {
            let python = interpreter.python.display();
            let warning = interpreter
                .closed
                .as_ref()
                .map(|closed| format!("; other users cannot run it: {} is closed to them", closed.display()));
            let warning = warning.unwrap_or_default();
            let detail = format!("{} {} with {python}: {why}{warning}", native.package, native.version);
            let task = Task::Engine(id.into(), native.clone(), interpreter.clone());
            Step::new(KIND, id, Change::Install, detail, task)
        }
        _ => Step::keep(KIND, id, locked.map(|locked| locked.version.clone()).unwrap_or_default()),
    }
}
