//! The programs as people use them: real binaries, a real engine, a real model. `tests/README.md` says how to run it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on ends there, with the reason"
)]

mod added;
mod answers;
mod catalog;
mod convert;
mod crash;
mod doctor;
mod downloads;
mod drift;
mod faults;
mod hostile;
mod hub;
mod images;
mod images_again;
mod json;
mod killed;
mod life;
mod locked;
mod models;
mod own_images;
mod own_models;
mod parallel;
mod refusals;
mod registries;
mod resume;
mod rules;
mod secrets;
mod setup;
mod space;
mod strangers;
mod users;
mod verify;
