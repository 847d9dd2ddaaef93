//! One file for each command: its arguments, and a thin `run` that lets the other modules work and prints what they return.

pub(crate) mod chat;
pub(crate) mod details;
pub(crate) mod image;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod model;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod stop;
pub(crate) mod supervise;
pub(crate) mod tier;
pub(crate) mod version;
pub(crate) mod wait;

use std::future::Future;

use bf_core::report::Failure;

/// Runs what needs the network to its end. Commands that do not need it do not pay for it.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(work)
}
