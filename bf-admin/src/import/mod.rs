//! Models from files of this machine: what is taken of a folder, and how it gets into the cache.

mod publish;
mod source;

pub(crate) use publish::{blob_link, clear, link_fault, make, publish};
pub(crate) use source::Source;
#[cfg(test)]
pub(crate) use source::SourceFile;
