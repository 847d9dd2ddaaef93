//! Container images: what they are called, what a SIF file says of itself, and which file of the cache an engine runs in.

mod digest;
mod error;
mod find;
mod list;
mod reference;
pub mod sif;
pub mod store;

pub use digest::Digest;
pub use error::ImageError;
pub use find::{Sif, find, find_reference};
pub use list::{ImageInfo, Inventory, STRAY_HINT, list};
pub use reference::Reference;

/// The ending of the name under which the image of an engine for GPUs is declared: `vllm-gpu`.
pub const GPU_SUFFIX: &str = "-gpu";
