//! Which tier for which model, and why: the one implementation for command line, API, browser and form.

mod choice;
mod error;
mod find;
mod gpu;
mod recommend;
#[cfg(test)]
mod tests;

pub use choice::{Choice, Source};
pub use error::TierError;
pub use find::find;
pub use gpu::gpu_memory;
pub use recommend::recommend;
