//! The programs on a real Slurm cluster, with real users and real Apptainer. `tests/README.md` says how to run it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on ends there, with the reason"
)]

mod accounting;
mod admin;
mod doctor;
mod ends;
mod images;
mod locks;
mod models;
mod own_images;
mod parts;
mod quota;
mod rules;
mod secrets;
mod services;
mod site;
mod trouble;
