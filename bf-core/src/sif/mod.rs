//! The Singularity Image Format: the one place that knows how its files are laid out, written and read, what Apptainer expects in
//! the root filesystem of an image, and whether a file is still what it was.

pub mod apptainer;
mod error;
mod facts;
pub mod format;
mod inspect;
mod provenance;
pub mod read;
mod verify;
mod write;

pub use error::SifError;
pub use facts::{Architecture, Facts, RunConfig};
pub use provenance::Provenance;
pub use read::{Object, Sif};
pub use verify::{Damage, Part, SifDigests, digests, provenance as provenance_of, verify};
pub use write::{Finished, SifWriter};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
