//! Serialisable results, errors with hints, exit codes: how everything that this library does is told.
//!
//! Every module has an error type of its own (`thiserror`, with fields). Its [`Explain`] implementation gives
//! the stable code, the hint and the exit code, and turns it into a [`Failure`], the one error that commands return.

mod exit;
mod failure;
mod finding;
mod line;
mod render;
mod shown;
mod version;

pub use exit::Exit;
pub(crate) use failure::without_number;
pub use failure::{Explain, Failure};
pub use finding::{Finding, Severity};
pub use line::{fitted, how_far};
pub use render::{Format, Report, human_bytes, human_count, print, render_failure, table};
pub(crate) use shown::is_unshown;
pub use shown::{lossy, one_line, shell_quoted};
pub use version::Version;
