//! The scheduler Slurm: the job script with its `#SBATCH` lines, and what can be known before it is handed over.

use std::path::Path;

use bf_core::model::id::mark;
use bf_core::report::{Exit, Failure};
use bf_core::site::MemoryRequest;
use bf_core::slurm::{Comment, Directive, NodeFacts, PartitionFacts, Slurm, SlurmError};
use bf_core::template::{self, Source};

use super::{Plan, program};
use crate::job::{Cause, End, Job, JobDir, SCHEMA, SlurmJob};

const TEMPLATE: &str = "slurm/service.sh.j2";

/// The job script.
pub(super) fn script(plan: &Plan, dir: &JobDir) -> Result<String, Failure> {
    let source = template::load(Some(&plan.layout), TEMPLATE)?;
    render(&source, &plan.job, dir, &program::of_job(&plan.layout)?)
}

fn render(source: &Source, job: &Job, dir: &JobDir, program: &Path) -> Result<String, Failure> {
    let directives: Vec<String> = directives(job, dir)?.iter().map(Directive::argument).collect();
    let values = serde_json::json!({
        "name": job.name,
        "service": job.service,
        "directives": directives,
        "modules": job.slurm.modules,
        "program": program,
        "job_dir": dir.path(),
    });
    let script = template::render_script(source, values)?;
    check_script(&script, source, job)?;
    Ok(script)
}

/// A script of the site's without the options would ask for nothing that was chosen; one that does not call the supervisor is no service.
fn check_script(script: &str, source: &Source, job: &Job) -> Result<(), Failure> {
    let asks = |option: &str| {
        let lines = script.lines().filter_map(|line| line.strip_prefix("#SBATCH "));
        lines.map(|line| line.trim_start_matches('\'')).any(|line| line.starts_with(option))
    };
    let memory = memory(job)?.map(|directive| format!("--{}=", directive.name()));
    let needed = ["--comment=", "--output="].into_iter().chain(memory.as_deref());
    let what = match needed.into_iter().find(|option| !asks(option)) {
        Some(option) => format!("has no line `#SBATCH {option}...`"),
        None if job.slurm.modules.iter().any(|module| !script.contains(module)) => {
            "does not load the `modules` of the site's site.yaml".to_owned()
        }
        None if !script.contains(" supervise ") => "does not call `supervise`".to_owned(),
        None => return Ok(()),
    };
    let path = source.path.as_ref().map_or_else(|| source.name.clone(), |path| path.display().to_string());
    Err(Failure::new(Exit::Invalid, "template_invalid", format!("the job script of {path} {what}"))
        .with_hint("tell the administrator: docs/formats.md says what a template of a job must hold"))
}

/// The options of the job, every one of which is said: nothing is left to variables and defaults that differ by site.
fn directives(job: &Job, dir: &JobDir) -> Result<Vec<Directive>, Failure> {
    let options = &job.slurm;
    let mut directives = vec![
        Directive::new("job-name", plain(&job.name))?,
        Directive::new("comment", comment(job))?,
        Directive::new("chdir", "/")?,
        Directive::path("output", dir.path(), "slurm-%j.out")?,
        Directive::new("nodes", "1")?,
        Directive::new("ntasks", "1")?,
        Directive::new("cpus-per-task", job.resources.cpus)?,
    ];
    directives.extend(memory(job)?);
    // A service that came back hours later would wait for nobody, and use up what others could have.
    directives.push(Directive::flag("no-requeue")?);
    if let Some(seconds) = job.time_limit {
        directives.push(Directive::new("time", seconds.div_ceil(60))?);
    }
    let given = [
        ("gres", &options.gres),
        ("gpus-per-node", &options.gpus_per_node),
        ("constraint", &options.constraint),
        ("partition", &options.partition),
        ("account", &options.account),
        ("qos", &options.qos),
        ("reservation", &options.reservation),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            directives.push(Directive::new(name, value)?);
        }
    }
    // What the site wants for all jobs gives way to what this one is asked for.
    for text in &options.directives {
        let directive = Directive::parse(text)?;
        if directives.iter().all(|given| given.name() != directive.name()) {
            directives.push(directive);
        }
    }
    Ok(directives)
}

/// The memory of the tier, as the site asks for it.
fn memory(job: &Job) -> Result<Option<Directive>, Failure> {
    let (gpus, memory_gb) = (job.resources.gpus, job.resources.memory_gb);
    Ok(match job.slurm.memory {
        MemoryRequest::None => None,
        // Not less than the tier says.
        MemoryRequest::MemPerGpu if gpus > 0 => {
            Some(Directive::new("mem-per-gpu", format!("{}G", memory_gb.div_ceil(gpus)))?)
        }
        MemoryRequest::Mem | MemoryRequest::MemPerGpu => {
            Some(Directive::new("mem", format!("{memory_gb}G"))?)
        }
    })
}

/// A name for Slurm's lists: what is not plain there is replaced.
fn plain(name: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    name.chars().map(|character| if plain(character) { character } else { '_' }).collect()
}

/// What tells this job from others, and what it uses (interface H).
fn comment(job: &Job) -> Comment {
    Comment {
        svc: Some(job.service.clone()),
        image: job.engine.image.as_ref().map(|image| image.digest.clone()),
        model: Some(mark(&job.model.repo, &job.model.revision)),
        ..Comment::default()
    }
}

/// Compares the job with the partition it goes to: some versions of Slurm take a job that can never start, and let it wait for ever.
pub(super) fn check(plan: &Plan, slurm: &Slurm) -> Result<(), Failure> {
    let partitions = slurm.partitions()?;
    let wanted = plan.job.slurm.partition.as_deref();
    let partition = match wanted {
        Some(name) => partitions.iter().find(|partition| partition.name == name).ok_or_else(|| {
            let known: Vec<&str> = partitions.iter().map(|partition| partition.name.as_str()).collect();
            Failure::new(Exit::NotFound, "partition_not_found", format!("Slurm has no partition {name}"))
                .with_hint(format!("there are: {}", known.join(", ")))
        })?,
        None => partitions.iter().find(|partition| partition.is_default).ok_or_else(|| {
            let message = "Slurm has no default partition";
            Failure::new(Exit::Usage, "no_partition", message).with_hint("name one with --partition")
        })?,
    };
    check_time(&plan.job, partition)?;
    let mut nodes = slurm.nodes()?;
    nodes.retain(|node| node.partition == partition.name);
    check_nodes(&plan.job, partition, &nodes)
}

/// Some node of the partition must have as many cores, as much memory and as many GPUs. Whether it has a feature or a type of GPU is
/// left to Slurm, which knows more ways to write these than we do.
fn check_nodes(job: &Job, partition: &PartitionFacts, nodes: &[NodeFacts]) -> Result<(), Failure> {
    let most = |of: &dyn Fn(&NodeFacts) -> u64| nodes.iter().map(of).max();
    let gpus =
        |node: &NodeFacts| node.gres.iter().filter(|gres| gres.name == "gpu").map(|gres| gres.count).sum();
    let resources = &job.resources;
    let memory_gb = match job.slurm.memory {
        MemoryRequest::None => 0, // which is not asked for
        _ => resources.memory_gb,
    };
    let memory_mib = u64::from(memory_gb) * 1024; // Slurm's G
    let asked = [
        (u64::from(resources.cpus), most(&|node| node.cpus), "cores", 1),
        (memory_mib, most(&|node| node.memory_mib), "GB of memory", 1024),
        (u64::from(resources.gpus), most(&gpus), "GPUs", 1),
    ];
    for (asked, most, what, unit) in asked {
        // A partition whose nodes are hidden from us is no reason to refuse.
        let Some(most) = most.filter(|most| asked > *most) else { continue };
        let (asked, most) = (asked / unit, most / unit);
        let message =
            format!("no node of the partition {} has {asked} {what}, the most is {most}", partition.name);
        return Err(Failure::new(Exit::Usage, "no_such_node", message)
            .with_hint("ask for less, or choose another tier or partition; `bf-user tier ls` lists them"));
    }
    Ok(())
}

fn check_time(job: &Job, partition: &PartitionFacts) -> Result<(), Failure> {
    let (Some(seconds), Some(max)) = (job.time_limit, partition.max_time) else { return Ok(()) };
    let minutes = seconds.div_ceil(60);
    if minutes <= max {
        return Ok(());
    }
    let message = format!(
        "{minutes} minutes are more than the partition {} allows: {max}; the job would wait for ever",
        partition.name
    );
    Err(Failure::new(Exit::Usage, "time_too_long", message)
        .with_hint(format!("ask for --time {max} or less, or another --partition")))
}

/// Hands the job of a job directory to Slurm. Returns its id.
pub(super) fn start(dir: &JobDir, slurm: &Slurm) -> Result<String, Failure> {
    match slurm.submit(&dir.script()) {
        Ok(job) => {
            let id = job.to_string();
            dir.write("slurm.json", &SlurmJob { schema: SCHEMA, job })?;
            Ok(id)
        }
        Err(error) => {
            let is_sure = matches!(
                error,
                SlurmError::Refused { .. }
                    | SlurmError::InvalidValue { .. }
                    | SlurmError::Missing { .. }
                    | SlurmError::NotStarted { .. }
            );
            let mut failure = Failure::from(error);
            if is_sure {
                let end = End::new(Cause::Unknown, failure.message.clone());
                dir.write_end(&End { hint: failure.hint.clone(), ..end })?;
            } else {
                // Only the answer may be lost: then the queue has the job, and knows it by its comment.
                failure.hint =
                    Some("Slurm may have taken it all the same: `bf-user ls` tells in a moment".into());
            }
            Err(failure)
        }
    }
}

#[cfg(test)]
mod tests;
