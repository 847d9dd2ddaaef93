//! From a wish (a model, a tier) to a running job: resolves everything first, so that what cannot work is refused in a sentence.

mod local;
mod plan;
mod stop;

pub(crate) use local::{detach, script, start};
pub(crate) use plan::{Plan, Wish, gb, open_cache, roots};
pub(crate) use stop::{remove_left, stop};
