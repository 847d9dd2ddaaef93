//! The scheduler `local`: a job is a session of its own on this machine, which outlives the command that started it.

use std::path::Path;
use std::process::{Command, Stdio};

use bf_core::report::{Exit, Failure};
use bf_core::template;

use super::Plan;
use crate::job::{Cause, End, JobDir, LocalJob};

const TEMPLATE: &str = "local/service.sh.j2";
/// What of the user's environment a job gets: not the secrets that shells collect.
const KEPT: [&str; 10] = [
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "LANG",
    "TZ",
    "TMPDIR",
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
];

/// The job script.
pub(super) fn script(plan: &Plan, dir: &JobDir) -> Result<String, Failure> {
    let source = template::load(Some(&plan.layout), TEMPLATE)?;
    let values = serde_json::json!({
        "name": plan.job.name,
        "service": plan.job.service,
        "program": std::env::current_exe()?,
        "job_dir": dir.path(),
    });
    Ok(template::render_script(&source, values)?)
}

/// Starts the job of a job directory. Returns the process id.
pub(super) fn start(dir: &JobDir) -> Result<String, Failure> {
    match spawn(dir) {
        Ok(pid) => Ok(pid.to_string()),
        Err(failure) => {
            dir.write_end(&End::new(Cause::Unknown, failure.message.clone()))?;
            Err(failure)
        }
    }
}

fn spawn(dir: &JobDir) -> Result<i32, Failure> {
    let log = JobDir::append(&dir.path().join("local.out"))?;
    let child = Command::new(std::env::current_exe()?)
        .arg("detach")
        .arg(dir.script())
        .env_clear()
        .envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .current_dir(Path::new("/"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let pid = i32::try_from(child.id()).map_err(std::io::Error::other)?;
    // Its process id and start time stay the same when it executes the script, and then the supervisor.
    dir.write("local.json", &LocalJob::of(pid)?)?;
    Ok(pid)
}

/// A port that is taken is refused here, where somebody reads it.
pub(super) fn check(plan: &Plan) -> Result<(), Failure> {
    let port = plan.job.network.port;
    match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(Failure::new(Exit::Busy, "port_in_use", format!("port {port} is in use on this machine"))
                .with_hint("leave out --port: a free one is found"))
        }
        Err(error) => Err(Failure::new(
            Exit::Permission,
            "port_refused",
            format!("port {port} cannot be used: {error}"),
        )
        .with_hint("ports below 1024 are for root: leave out --port")),
    }
}

/// Becomes the job: leaves the session of the terminal, then executes the script.
pub(crate) fn detach(script: &Path) -> Result<std::convert::Infallible, Failure> {
    use std::os::unix::process::CommandExt;
    nix::unistd::setsid().map_err(std::io::Error::from)?;
    let error = Command::new("/bin/bash").arg("--noprofile").arg("--norc").arg(script).exec();
    Err(Failure::new(Exit::Failed, "job_not_started", format!("/bin/bash cannot be started: {error}")))
}
