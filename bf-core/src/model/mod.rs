//! Models as they lie on disk: ids, the hub cache layout, the weights an engine will load, and what they say of themselves.
//!
//! Nothing here asks the network, and only [`store`] writes. A cache belongs to somebody else: what it holds is bounded, checked and
//! never trusted to be what its names say.
//!
//! | file | owns |
//! | --- | --- |
//! | [`id`], [`revision`] | what a model and a state of it are called |
//! | [`cache`] | a folder of `models--org--name` in `huggingface_hub`'s layout |
//! | [`snapshot`] | the files of one revision, and whether they are all there |
//! | [`format`](mod@format) | which of these files are the weights |
//! | [`choose`] | which files of a repository are fetched or kept |
//! | [`safetensors`], [`gguf`], [`config`], [`card`] | what the files say |
//! | [`memory`] | what a model needs of a GPU |
//! | [`inspect`] | all that put together, as `model ls` shows it |
//! | [`find`](mod@find) | one model by name, or all there are |
//! | [`commit`] | the revision of a model that has no history |
//! | [`store`] | publishing, checking and removing models |
//! | [`pattern`] | which files are taken, by their names |

pub mod cache;
pub mod card;
pub mod choose;
pub mod commit;
pub mod config;
mod error;
pub mod find;
pub mod format;
pub mod gguf;
mod header;
pub mod id;
pub mod inspect;
mod license;
pub mod memory;
pub mod named;
mod near;
pub mod pattern;
pub mod revision;
pub mod safetensors;
pub mod snapshot;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;

pub use cache::{Location, Root};
pub use error::ModelError;
pub use find::{Found, Inventory, find, find_format, list};
pub use format::WeightFormat;
pub use header::HeaderError;
pub use id::ModelId;
pub use inspect::ModelInfo;
pub use memory::Memory;
pub use named::Named;
pub use pattern::Pattern;
pub use revision::Revision;
