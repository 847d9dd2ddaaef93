//! What jobs call: `supervise`, and the hidden `guard`, `tether` and `detach`.

use std::ffi::OsString;
use std::path::PathBuf;

use bf_core::report::Failure;
use clap::Args;

use crate::job::JobDir;
use crate::{launch, supervise as in_job};

#[derive(Debug, Args)]
pub(crate) struct SuperviseArgs {
    /// The job's directory
    #[arg(value_name = "JOBDIR")]
    job_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct TetherArgs {
    /// Process id of the guardian
    guardian: i32,
    /// The engine's program and arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct DetachArgs {
    /// The job script
    script: PathBuf,
}

pub(crate) fn supervise(args: &SuperviseArgs) -> Result<u8, Failure> {
    in_job::run(&JobDir::at(&args.job_dir))
}

pub(crate) fn guard() -> Result<u8, Failure> {
    in_job::guard().map(|()| 0)
}

pub(crate) fn tether(args: TetherArgs) -> Result<u8, Failure> {
    match in_job::tether(args.guardian, args.command)? {}
}

pub(crate) fn detach(args: &DetachArgs) -> Result<u8, Failure> {
    match launch::detach(&args.script)? {}
}
