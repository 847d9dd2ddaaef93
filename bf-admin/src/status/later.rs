//! What is declared and this version cannot provide: it is said each time, and counts for nothing.

use bf_core::site::{Declared, Layout};

use super::{Item, State, item};
use crate::plan::{Skip, later as declared_later};

/// TigerFlow, which the cache would have, and the app of Open OnDemand, which a host that runs that would have.
pub(super) fn later(items: &mut Vec<Item>, layout: &Layout, declared: &Declared) {
    for (kind, name) in declared_later(declared) {
        let app = declared.ondemand.as_ref().filter(|_| kind == "ondemand");
        let (state, path, detail) = match app {
            Some(app) if !app.apps_dir.is_dir() => {
                let why = format!("this host has no Open OnDemand: there is no {}", app.apps_dir.display());
                (State::Elsewhere, app.apps_dir.join(&name), why)
            }
            Some(app) => (State::Missing, app.apps_dir.join(&name), Skip::NotProvidedYet.told().to_owned()),
            None => (State::Missing, layout.root().join(kind), Skip::NotProvidedYet.told().to_owned()),
        };
        items.push(Item { reason: Some(Skip::NotProvidedYet), ..item(kind, name, path, state, detail) });
    }
}
