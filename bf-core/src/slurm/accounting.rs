//! `sacct`: what the accounts say about jobs that the controller has forgotten.

use super::job::ending;
use super::program::{Programs, Said};
use super::queue::said;
use super::{JobFacts, JobId, JobState, SlurmError, time};

/// What is asked for: nothing that a job's owner chose freely.
const FORMAT: &str = "--format=JobIDRaw,State,ExitCode,Partition,NodeList,Start,End,Reason";

/// The number of fields in a line.
const FIELDS: usize = 8;

/// How many jobs one call asks for, so that the arguments stay short.
const AT_ONCE: usize = 500;

/// What `sacct` says where there are no accounts or nobody who keeps them answers.
const NONE: [&str; 5] = [
    "accounting storage is disabled",
    "problem talking to the database",
    "persistent connection",
    "only accounting_storage/slurmdbd",
    "unable to contact slurmdbd",
];

/// Asks for jobs, cluster by cluster.
pub(super) fn ask(programs: &Programs, ids: &[JobId]) -> Result<Vec<JobFacts>, SlurmError> {
    let mut clusters: Vec<Option<&str>> = ids.iter().map(JobId::cluster).collect();
    clusters.sort_unstable();
    clusters.dedup();
    let mut jobs = Vec::new();
    for cluster in clusters {
        let numbers: Vec<&str> = ids.iter().filter(|id| id.cluster() == cluster).map(JobId::number).collect();
        for some in numbers.chunks(AT_ONCE) {
            let list = some.join(",");
            let mut arguments = vec!["-X", "-n", "-P", FORMAT, "-j", &list];
            arguments.extend(cluster.into_iter().flat_map(|name| ["--clusters", name]));
            jobs.extend(read(&output(programs, &arguments)?, cluster)?);
        }
    }
    Ok(jobs)
}

fn output(programs: &Programs, arguments: &[&str]) -> Result<String, SlurmError> {
    let said = programs.ask("sacct", arguments.iter().copied()).map_err(|error| match error {
        SlurmError::Missing { .. } => SlurmError::NoAccounting { message: error.to_string() },
        other => other,
    })?;
    if no_accounts(&said) { Err(SlurmError::NoAccounting { message: said.message() }) } else { said.output() }
}

fn no_accounts(said: &Said) -> bool {
    said.ending.is_some() && NONE.iter().any(|sign| said.mentions(sign))
}

pub(super) fn read(output: &str, cluster: Option<&str>) -> Result<Vec<JobFacts>, SlurmError> {
    let job = |line: &str| job(line, cluster).ok_or_else(|| SlurmError::unparsable("sacct", line));
    output.lines().filter(|line| !line.trim().is_empty()).map(job).collect()
}

fn job(line: &str, cluster: Option<&str>) -> Option<JobFacts> {
    let fields: Vec<&str> = line.splitn(FIELDS, '|').collect();
    let [id, state_text, exit, partition, nodes, start, end, reason] = fields[..] else { return None };
    let id = cluster.map_or_else(|| id.to_owned(), |cluster| format!("{id};{cluster}"));
    let state = JobState::read(state_text);
    let (exit_code, signal) = ending(exit, &state);
    Some(JobFacts {
        id: id.parse().ok()?,
        reason: said(reason),
        exit_code,
        signal,
        cancelled_by: state_text.strip_prefix("CANCELLED by ").and_then(|uid| uid.trim().parse().ok()),
        partition: said(partition),
        node_list: said(nodes),
        time_limit: None,
        preempted: None,
        start: time::timestamp(start),
        end: time::timestamp(end),
        comment: None,
        state,
    })
}
