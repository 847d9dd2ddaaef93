//! A model of the Hub on its way into a store: what of it is wanted, how much of that is there, and fetching the rest. The one way for
//! the shared cache and for that of a user.
//!
//! [`outline`] asks for the listing and chooses; nothing is written by it. [`fetch`] brings what it names into a private folder, from
//! which [`store::make`](crate::model::store::make) takes it as [`Take::Fetched`](crate::model::store::Take::Fetched). What was
//! outlined is what is fetched: all requests name its commit.
//!
//! | file | owns |
//! | --- | --- |
//! | `outline` | what is asked for, what is chosen of it, and what of that is missing |
//! | `fetch` | bringing it, with what the store has already |
//! | `summary` | what is told of it beforehand, for people and programs |
//! | `told` | what is told meanwhile |
//! | `refused` | why nothing can be chosen |
//! | `record` | what the Hub says of a model, kept beside it |

mod fetch;
mod outline;
mod record;
mod refused;
mod summary;
#[cfg(test)]
mod tests;
mod told;

pub use fetch::fetch;
pub use outline::{Ask, Outline, Places, outline, outline_for};
pub use record::Record;
pub use summary::{Left, Summary};
pub use told::{Teller, Told};
