//! How far work is that takes time: what is counted, and how that is told. The programs say on which stream.
//!
//! | file | owns |
//! | --- | --- |
//! | `news` | what happens to work and to its parts: files of a model, layers of an image |
//! | `board` | all work that is going on, summed up |
//! | `rate` | how fast it goes, smoothed, and how long it will still take |
//! | `screen` | the lines of a terminal that are drawn again and again |
//! | `lines` | the lines of a log |
//! | `events` | the events for programs (`docs/formats.md`) |
//! | `mode` | which of these is told, and how large a terminal is |
//! | `display` | all of it together, from several threads |
//!
//! Times are spans since the display began, so that what is computed of them needs no clock.

mod board;
mod display;
mod events;
mod lines;
mod mode;
mod news;
mod rate;
mod screen;

pub use display::Display;
pub use mode::Mode;
use mode::{Shown, Size};
pub use news::News;
