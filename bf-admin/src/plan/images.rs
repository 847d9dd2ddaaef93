//! What is to be done with a declared image.

use bf_core::image::Reference;
use bf_core::site::LockedImage;

use super::{Change, Step, Task};
use crate::image::{Fetch, ImageFacts, Need};
use crate::present::Disk;

const KIND: &str = "image";

pub(super) fn step(name: &str, facts: &ImageFacts, update: bool) -> Step {
    let wanted = match &facts.wanted {
        Ok(wanted) => wanted,
        Err(failure) => return Step::fail(KIND, name, Change::Pull, failure),
    };
    let need = facts.need(name, update);
    let change = match &need {
        Need::Nothing => return Step::keep(KIND, name, kept(facts, wanted)),
        Need::Link(_) => Change::Link,
        Need::Pull(_) => Change::Pull,
    };
    if let Err(failure) = &facts.way {
        return Step::fail(KIND, name, change, failure);
    }
    match (need, &facts.own, &facts.maker) {
        (Need::Link(why), Some((_, own)), _) => {
            Step::new(KIND, name, change, why, Task::ImageLink(name.to_owned(), mended(own, wanted)))
        }
        (Need::Pull(why), _, Some(Ok(maker))) => {
            let own = facts.own.as_ref().map(|(_, own)| own.clone()).filter(|_| facts.disk == Disk::Whole);
            let fetch = Fetch { reference: wanted.clone(), sif: None, maker: maker.clone(), own };
            let task = Task::Image(name.to_owned(), Box::new(fetch));
            let note = facts.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
            Step::new(KIND, name, change, format!("{wanted}: {why}{note}"), task)
        }
        (_, _, Some(Err(failure))) => Step::fail(KIND, name, change, failure),
        _ => Step::keep(KIND, name, kept(facts, wanted)),
    }
}

/// What is there. The lock has a digest of every image that was pulled; pinned is what site.yaml pins.
fn kept(facts: &ImageFacts, wanted: &Reference) -> String {
    let pinned = if wanted.digest().is_some() { ", pinned" } else { "" };
    facts.own.as_ref().map(|(_, own)| format!("{}{pinned}", own.digest12())).unwrap_or_default()
}

/// The entry of an image that is there, as it is asked for now.
pub(crate) fn mended(own: &LockedImage, wanted: &Reference) -> LockedImage {
    LockedImage {
        reference: Some(wanted.clone().unpinned()),
        sif: format!("images/{}", wanted.sif_name()),
        ..own.clone()
    }
}
