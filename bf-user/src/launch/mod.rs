//! From a wish (a model, a tier) to a running job: resolves everything first, so that what cannot work is refused in a sentence.

mod local;
mod plan;

pub(crate) use local::start;
pub(crate) use plan::{Plan, Wish};
