//! What is to be done with the toolkit.

use bf_core::report::{Exit, Failure};

use super::{Change, Step, Task};
use crate::toolkit::{ARCH, Need, PROGRAM, ToolkitFacts, VERSION, arch_of};

const KIND: &str = "toolkit";

pub(super) fn step(facts: &ToolkitFacts) -> Step {
    if let Err(failure) = &facts.beside {
        return Step::fail(KIND, PROGRAM, Change::Publish, failure);
    }
    let need = facts.need();
    let change = if matches!(need, Need::Link(_)) { Change::Link } else { Change::Publish };
    if let Err(failure) = &facts.way {
        return Step::fail(KIND, PROGRAM, change, failure);
    }
    match (need, &facts.beside) {
        (Need::Link(why), _) => Step::new(KIND, PROGRAM, change, why, Task::ToolkitLink),
        (Need::Publish(why), Ok(Some(beside))) => {
            // A link to that of another architecture stays: setup on two kinds of machines would switch it for ever.
            let relink = facts.linked.as_ref().is_none_or(|linked| arch_of(linked) == ARCH);
            let detail = format!("{VERSION} for {ARCH} from {}: {why}", beside.path.display());
            Step::new(KIND, PROGRAM, change, detail, Task::Toolkit(beside.clone(), relink))
                .writing(beside.bytes)
        }
        (Need::Nothing, _) => Step::keep(KIND, PROGRAM, kept(facts)),
        _ => Step::fail(KIND, PROGRAM, change, &missing(facts)),
    }
}

fn kept(facts: &ToolkitFacts) -> String {
    let there = facts.own.as_ref().or(facts.linked.as_ref());
    let version = there.and_then(|file| file.path.split('/').nth(1)).unwrap_or_default();
    match &facts.beside {
        Ok(None) => format!("{version} stays: there is no {PROGRAM} in {}", facts.folder.display()),
        _ => version.to_owned(),
    }
}

/// The failure of a cache without a toolkit, where there is none to publish either.
pub(crate) fn missing(facts: &ToolkitFacts) -> Failure {
    let message = format!(
        "there is no {PROGRAM} in {}, beside this bf-admin, to be published, and the cache has none",
        facts.folder.display()
    );
    Failure::new(Exit::NotFound, "toolkit_not_found", message)
        .with_hint(format!("put {PROGRAM} {VERSION} beside bf-admin and run `bf-admin setup` again"))
}
