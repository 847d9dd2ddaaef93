//! What real versions of Slurm said (`tests/fixtures/slurm`), and what none can be made to say.

mod faults;
mod jobs;
mod refusals;
mod replay;
mod site;
