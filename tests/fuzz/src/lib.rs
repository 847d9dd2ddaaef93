//! The targets: each takes any bytes, and panics when the product does what it must not.
//!
//! Two programs call them: libFuzzer's (`tests/run fuzz --coverage`), which learns from the code that an input reaches, and `seeded`
//! (`tests/run fuzz`), which needs no more than the compiler and gives the same inputs for the same seed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a panic is what a target tells its finds with"
)]

mod archive;
mod input;
pub mod manifest;
pub mod sif;
pub mod squashfs;
pub mod tar;

use std::fs::File;
use std::io::Write;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Does it with one input.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 4] = [
    Target { name: "tar", run: tar::run, seeds: tar::seeds },
    Target { name: "manifest", run: manifest::run, seeds: manifest::seeds },
    Target { name: "squashfs", run: squashfs::run, seeds: squashfs::seeds },
    Target { name: "sif", run: sif::run, seeds: sif::seeds },
];

/// A file in memory.
fn memory(content: &[u8]) -> File {
    let mut file =
        File::from(rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC).expect("memory"));
    file.write_all(content).expect("memory");
    file
}
