//! The Slurm of this host.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::program::Programs;
use super::{
    JobFacts, JobId, NodeFacts, PartitionFacts, QueuedJob, SlurmError, accounting, config, job, node,
    partition, queue,
};
use crate::host::Limits;
use crate::settings::Environment;

/// The Slurm commands of this host. Every call runs one program, and none takes longer than the time limit.
#[derive(Debug, Clone)]
pub struct Slurm {
    programs: Programs,
}

impl Slurm {
    /// The Slurm of this environment: there is one if `sbatch` is on its PATH.
    pub fn find(environment: &Environment) -> Option<Self> {
        let programs = Programs::of(environment)?;
        programs.find("sbatch").ok()?;
        Some(Self { programs })
    }

    /// The same with another time limit than 20 seconds for each command.
    #[must_use]
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.programs.limits.time = limit;
        self
    }

    /// Submits the job script at an absolute path. The job's environment is HOME, USER, LOGNAME, PATH, LANG, TZ and SLURM_CONF of this one.
    ///
    /// After [`SlurmError::TimedOut`] the job may be in the queue all the same: look for its comment before trying again.
    pub fn submit(&self, script: &Path) -> Result<JobId, SlurmError> {
        if !script.is_absolute() {
            return Err(SlurmError::invalid(
                "job script",
                &script.display().to_string(),
                "its path is not absolute",
            ));
        }
        let mut command = self.programs.command("sbatch")?;
        command.arg("--parsable").arg(script);
        let said = self.programs.act("sbatch", &mut command)?;
        let output = said.output()?;
        // A site's submission plugin may print lines of its own in front.
        let last = output.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        last.parse().map_err(|_| SlurmError::unparsable("sbatch", last))
    }

    /// The jobs of a user: those that wait and run, and those that ended a short while ago (`MinJobAge`, mostly five minutes).
    pub fn queue(&self, user: &str) -> Result<Vec<QueuedJob>, SlurmError> {
        check_user(user)?;
        let mark = queue::mark()?;
        let arguments = queue::arguments(&mark);
        let arguments = arguments.iter().map(String::as_str).chain(["--user", user]);
        let said = self.programs.ask("squeue", arguments)?;
        // Some versions complain, print nothing and end well.
        if said.mentions("invalid user") {
            return Err(SlurmError::invalid("user", user, "Slurm does not know it"));
        }
        queue::read(&said.output()?, &mark)
    }

    /// The jobs of everybody whose jobs Slurm shows us, on this host's cluster or on those named. One that cannot be understood is
    /// passed over: it is other people's.
    pub fn queue_of_all(&self, clusters: &[String]) -> Result<Vec<QueuedJob>, SlurmError> {
        let mark = queue::mark()?;
        let mut arguments = queue::arguments(&mark);
        if !clusters.is_empty() {
            arguments.push(format!("--clusters={}", clusters.join(",")));
        }
        let output = self.programs.ask("squeue", arguments.iter().map(String::as_str))?.output()?;
        Ok(queue::read_leniently(&output, &mark))
    }

    /// Whether Slurm keeps other people's jobs from us (`PrivateData=jobs`). Root sees all.
    pub fn hides_jobs(&self) -> Result<bool, SlurmError> {
        if nix::unistd::geteuid().is_root() {
            return Ok(false);
        }
        let output = self.programs.ask("scontrol", ["show", "config"])?.output()?;
        Ok(config::hides_jobs(&output, &crate::host::user()))
    }

    /// Runs a program on one node of a partition, now, and gives what it printed. `account` is whom it is for, where that must be said.
    /// Slurm begins it within a minute and ends it after two, or it is a failure; it gets the environment that jobs get.
    pub fn run_on_node(
        &self,
        partition: &str,
        account: Option<&str>,
        program: &[OsString],
    ) -> Result<String, SlurmError> {
        if partition.is_empty() || partition.contains([',', '\n']) {
            return Err(SlurmError::invalid("partition", partition, "it is no name of one"));
        }
        let mut programs = self.programs.clone();
        programs.limits = Limits { time: Duration::from_secs(200), output: 64 * 1024 };
        let mut command = programs.command("srun")?;
        command.args(["--nodes=1", "--ntasks=1", "--time=2", "--immediate=60", "--input=none", "--quiet"]);
        command.args(["--job-name=blackfish-probe"]).arg(format!("--partition={partition}"));
        command.args(account.map(|account| format!("--account={account}")));
        programs.act("srun", command.arg("--").args(program))?.output()
    }

    /// What Slurm's controller knows of a job; `None` when it has forgotten it, or never knew it.
    pub fn job(&self, id: &JobId) -> Result<Option<JobFacts>, SlurmError> {
        let mut arguments = cluster_of(id);
        arguments.extend(["show", "job", id.number()]);
        let said = self.programs.ask("scontrol", arguments)?;
        if said.ending.is_some() && said.mentions("invalid job id") {
            return Ok(None);
        }
        job::read(&said.output()?)
    }

    /// What the accounts say about jobs; those they do not know are left out.
    pub fn accounted(&self, ids: &[JobId]) -> Result<Vec<JobFacts>, SlurmError> {
        accounting::ask(&self.programs, ids)
    }

    /// Ends a job, or takes it out of the queue. A job that is over already is no error.
    pub fn cancel(&self, id: &JobId) -> Result<(), SlurmError> {
        let mut command = self.programs.command("scancel")?;
        command.args(cluster_of(id)).arg(id.number());
        let said = self.programs.act("scancel", &mut command)?;
        let over =
            ["already completing or completed", "invalid job id"].iter().any(|sign| said.mentions(sign));
        if said.ending.is_none() || over { Ok(()) } else { Err(said.error()) }
    }

    /// The partitions that the user can see.
    pub fn partitions(&self) -> Result<Vec<PartitionFacts>, SlurmError> {
        partition::read(&self.programs.ask("scontrol", ["show", "partition", "-o"])?.output()?)
    }

    /// The nodes that the user can see, once for each partition they are in.
    pub fn nodes(&self) -> Result<Vec<NodeFacts>, SlurmError> {
        node::read(&self.programs.ask("sinfo", node::ARGUMENTS)?.output()?)
    }
}

/// Options that lead to the cluster of a job, where it is another one than this host's.
fn cluster_of(id: &JobId) -> Vec<&str> {
    id.cluster().map_or_else(Vec::new, |cluster| vec!["--clusters", cluster])
}

/// A login name as one argument that is no list and no option.
fn check_user(user: &str) -> Result<(), SlurmError> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '\\' | '+' | '$');
    if user.is_empty() || user.starts_with('-') || !user.chars().all(allowed) {
        return Err(SlurmError::invalid("user", user, "it is no login name"));
    }
    Ok(())
}
