//! What the end-to-end tests stand on: a site of one's own, the two programs, their processes, plain HTTP, the real model, a
//! real Slurm cluster.
//!
//! It builds nothing: the programs are those in `BF_BIN_DIR`, or beside the test (`target/debug`, `target/release`).
//! What cannot be had here (root, the network) is said with [`skip!`], which `tests/run` counts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on ends there, with the reason"
)]

mod cluster;
mod download;
mod gguf;
mod http;
pub mod hub;
pub mod images;
mod pace;
mod place;
mod process;
mod program;
mod random;
mod service;
mod sif;
mod site;
mod skip;
mod stranger;
mod tree;

pub use cluster::{Cluster, Options as ClusterOptions};
pub use download::{Download, Model, model, python};
pub use gguf::write_gguf;
pub use http::{Answer, Request};
pub use place::{binary, target_dir};
pub use process::{Process, is_alive, readable_anywhere};
pub use program::{Outcome, Program};
pub use random::Random;
pub use service::{Processes, Service};
pub use sif::sif;
pub use site::{REPO, Site};
pub use skip::note_skipped;
pub use stranger::Stranger;
pub use tree::{Entry, Tree};

use std::time::{Duration, Instant};

/// Asks `found` again and again for up to `patience`; panics with `what` if it never answers.
pub fn eventually<T>(what: &str, patience: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(begun.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
