//! The user's other services: what they mean for one more.

use bf_core::report::{Exit, Failure};
use bf_core::settings::Settings;

use crate::commands::block_on;
use crate::status::Scene;
use crate::store::{Record, Store};
use crate::view::ServiceView;

/// Two services that live must not have one name, since a name is as good as an id. Gives how many there are that had it.
pub(super) fn refuse_taken_name(name: &str, store: &Store, settings: &Settings) -> Result<usize, Failure> {
    let scene = Scene::of(&settings.home_dir);
    let named: Vec<Record> = store.all()?.into_iter().filter(|record| record.name == name).collect();
    let count = named.len();
    for record in named {
        let (view, status) = block_on(ServiceView::of(record, store, &scene, false))?;
        if status.state.is_live() {
            return Err(name_taken(name, status.state.name(), view.short_id()));
        }
    }
    Ok(count)
}

pub(super) fn name_taken(name: &str, state: &str, id: &str) -> Failure {
    Failure::new(Exit::Busy, "name_taken", format!("a service {name} is {state} already"))
        .with_hint(format!("choose another name, or stop it first: bf-user stop {id}"))
}

/// How many services of the user live.
pub(super) fn live(store: &Store, settings: &Settings) -> Result<usize, Failure> {
    let scene = Scene::of(&settings.home_dir);
    let mut live = 0;
    for record in store.all()? {
        let (_, status) = block_on(ServiceView::of(record, store, &scene, false))?;
        live += usize::from(status.state.is_live());
    }
    Ok(live)
}
