//! Native engines: a Python package in the cache with a launcher of ours in front, no container needed.

mod install;
mod launcher;
mod pip;
mod python;

pub(crate) use install::{make, publish};
pub(crate) use python::{Interpreter, find, named};
