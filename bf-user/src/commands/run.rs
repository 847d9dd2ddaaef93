//! `bf-user run`

mod others;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bf_core::duration;
use bf_core::image::Reference;
use bf_core::report::{Exit, Failure, Report};
use bf_core::service::Kind;
use bf_core::settings::{Environment, Settings};
use bf_core::slurm::{Slurm, SlurmError};
use clap::Args;
use serde::Serialize;

use super::block_on;
use crate::images::{self, How};
use crate::job::{Job, JobDir, Key, Scheduler};
use crate::launch::{self, Plan, Wish};
use crate::printer::Printer;
use crate::progress::Progress;
use crate::status::Scene;
use crate::store::{Record, Store};
use crate::view::ServiceView;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// text-generation or speech-recognition
    #[arg(value_name = "KIND", value_parser = kind)]
    kind: Kind,
    /// The model, as ORG/NAME
    #[arg(value_name = "MODEL")]
    model: String,
    /// Name of the service [default: blackfish-XXXXX]
    #[arg(short, long)]
    name: Option<String>,
    /// Commit, branch or tag of the model [default: main, else the newest there is]
    #[arg(short, long, value_name = "REV")]
    revision: Option<String>,
    /// Resource tier, as TIER or PARTITION.TIER [default: the recommended one]
    #[arg(short, long)]
    tier: Option<String>,
    /// Partition whose tiers are used [default: the site's default one]
    #[arg(long)]
    partition: Option<String>,
    /// Who runs it: slurm or local [default: the profile's, else slurm where Slurm is]
    #[arg(long, value_name = "SCHEDULER", value_parser = scheduler)]
    scheduler: Option<Scheduler>,
    /// Slurm: features that the node must have [default: the tier's]
    #[arg(long, value_name = "LIST")]
    constraint: Option<String>,
    /// Slurm: the account that is charged [default: SBATCH_ACCOUNT, else your own one]
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Slurm: the quality of service
    #[arg(long, value_name = "NAME")]
    qos: Option<String>,
    /// Slurm: the reservation to use
    #[arg(long, value_name = "NAME")]
    reservation: Option<String>,
    /// The container image to use [default: the engine's]
    #[arg(long, value_name = "REFERENCE")]
    image_ref: Option<Reference>,
    /// Refuse when the image is nowhere [default: on this machine it is fetched into your own folder first]
    #[arg(long)]
    no_pull: bool,
    /// Reach the registry of an image that is fetched by plain HTTP
    #[arg(long, conflicts_with = "no_pull")]
    no_https: bool,
    #[command(flatten)]
    progress: Progress,
    /// How long it may run: minutes or HH:MM:SS [default: that of resource_specs.yaml, else no limit]
    #[arg(long, value_parser = duration::some_seconds)]
    time: Option<u64>,
    /// Processor cores [default: the tier's]
    #[arg(long, visible_alias = "ntasks-per-node", value_name = "N", value_parser = at_least_one())]
    cpus_per_task: Option<u32>,
    /// Memory in GB [default: the tier's]
    #[arg(long, value_name = "GB", value_parser = memory)]
    mem: Option<u32>,
    /// GPUs [default: the tier's]
    #[arg(long, value_name = "N", value_parser = gpus)]
    gres: Option<u32>,
    /// Port to listen at [default: any free one]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Stop after so long without a request, as 30m [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration::some_seconds)]
    idle_timeout: Option<u64>,
    /// Seconds until an engine that is not ready counts as unhealthy [env: BLACKFISH_GRACE_PERIOD] [default: 600]
    #[arg(short, long, value_name = "SECONDS")]
    grace_period: Option<u64>,
    /// File with the API key to use, or - for stdin [default: a random key]
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Not accepted: arguments can be read by everybody on the machine
    #[arg(long, hide = true, value_name = "KEY")]
    api_key: Option<String>,
    /// Print the job script and start nothing
    #[arg(long)]
    dry_run: bool,
    /// More arguments for the engine
    #[arg(last = true, value_name = "ENGINE ARGUMENTS")]
    arguments: Vec<String>,
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::from_name(text).ok_or_else(|| "it must be text-generation or speech-recognition".into())
}

/// As Slurm takes it as well: `8`, `8G`, `8GB`.
fn memory(text: &str) -> Result<u32, String> {
    let number = text.trim_end_matches(['b', 'B']).trim_end_matches(['g', 'G']);
    match number.parse() {
        Ok(gb @ 1..) => Ok(gb),
        _ => Err("it must be a whole number of GB".into()),
    }
}

/// As Slurm takes it as well: `2`, `gpu:2`.
fn gpus(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix("gpu:").unwrap_or(text);
    number
        .parse()
        .map_err(|_| "it must be the number of GPUs; their type is the tier's, or a --constraint".into())
}

fn scheduler(text: &str) -> Result<Scheduler, String> {
    match text {
        "slurm" => Ok(Scheduler::Slurm),
        "local" => Ok(Scheduler::Local),
        _ => Err("it must be slurm or local".into()),
    }
}

fn at_least_one() -> impl clap::builder::TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(1..)
}

impl RunArgs {
    fn wish(self, scheduler: Scheduler) -> Result<Wish, Failure> {
        if self.api_key.is_some() {
            let message = "--api-key is not accepted: arguments can be read by everybody on the machine";
            return Err(Failure::new(Exit::Usage, "key_in_arguments", message).with_hint(
                "a random key is made for you; to choose one use --api-key-file FILE, or - for stdin",
            ));
        }
        if let Some(name) = &self.name {
            check_name(name)?;
        }
        self.check_for(scheduler)?;
        Ok(Wish {
            kind: self.kind,
            scheduler,
            model: self.model,
            revision: self.revision,
            pull: !self.no_pull && !self.dry_run,
            image: self.image_ref,
            name: self.name,
            tier: self.tier,
            partition: self.partition,
            constraint: self.constraint,
            account: self
                .account
                .or_else(|| Environment::of_process().get("SBATCH_ACCOUNT").map(String::from)),
            qos: self.qos,
            reservation: self.reservation,
            cpus: self.cpus_per_task,
            memory_gb: self.mem,
            gpus: self.gres,
            port: self.port,
            time_limit: self.time,
            idle_timeout: self.idle_timeout,
            grace_period: self.grace_period.map_or_else(grace_period, Ok)?,
            key: self.api_key_file.as_deref().map(chosen_key).transpose()?,
            arguments: self.arguments,
        })
    }
}

impl RunArgs {
    /// Refuses what would have no effect, or none that anybody wants.
    fn check_for(&self, scheduler: Scheduler) -> Result<(), Failure> {
        match scheduler {
            Scheduler::Local => {
                let of_slurm = [
                    ("--constraint", &self.constraint),
                    ("--account", &self.account),
                    ("--qos", &self.qos),
                    ("--reservation", &self.reservation),
                ];
                let Some((option, _)) = of_slurm.iter().find(|(_, value)| value.is_some()) else {
                    return Ok(());
                };
                let message = format!("{option} is for Slurm, and this service runs on this machine");
                Err(Failure::new(Exit::Usage, "option_of_slurm", message).with_hint("leave it out"))
            }
            Scheduler::Slurm if (1..1024).contains(&self.port) => {
                let message = format!("port {} is for root on the nodes", self.port);
                Err(Failure::new(Exit::Usage, "port_refused", message)
                    .with_hint("leave out --port: a free one is found"))
            }
            Scheduler::Slurm => Ok(()),
        }
    }
}

/// The environment's grace period, else upstream's.
fn grace_period() -> Result<u64, Failure> {
    const NAME: &str = "BLACKFISH_GRACE_PERIOD";
    match Environment::of_process().get(NAME) {
        None => Ok(Job::default_grace()),
        Some(text) => text.trim().parse().map_err(|_| {
            Failure::new(
                Exit::Usage,
                "grace_period_invalid",
                format!("{NAME} is {text:?}, not a number of seconds"),
            )
        }),
    }
}

/// A name is shown in lists and becomes the name of a job.
fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |character: char| character.is_alphanumeric() || "._-".contains(character);
    if (1..=64).contains(&name.chars().count()) && name.chars().all(plain) && !name.starts_with('-') {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "name_invalid", format!("{name:?} is no name for a service"))
        .with_hint("use up to 64 letters, digits, dots, dashes and underscores, no dash first"))
}

fn chosen_key(path: &Path) -> Result<Key, Failure> {
    if path != Path::new("-") {
        return Key::read(path);
    }
    let mut text = String::new();
    io::stdin().take(4096).read_to_string(&mut text)?;
    Key::chosen(&text)
}

/// What `--dry-run` shows.
#[derive(Serialize)]
struct DryRun {
    dry_run: bool,
    reason: String,
    script: String,
    job: Job,
}

impl Report for DryRun {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let job = &self.job;
        writeln!(out, "# model     {} at {}", job.model.repo, job.model.revision)?;
        writeln!(out, "# weights   {}", job.model.weights.display())?;
        writeln!(out, "# engine    {} {}", job.engine.id, job.engine.version)?;
        if let Some(tier) = &job.tier {
            writeln!(out, "# tier      {} ({})", tier.name, self.reason)?;
        }
        let resources = &job.resources;
        let (cpus, gpus, memory) = (resources.cpus, resources.gpus, resources.memory_gb);
        writeln!(out, "# resources cores {cpus}, GPUs {gpus}, memory {memory} GB")?;
        write!(out, "{}", self.script)
    }
}

/// A service that was started.
#[derive(Serialize)]
#[serde(transparent)]
struct Started(ServiceView);

impl Report for Started {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.0.id)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.text(out)
    }
}

pub(crate) fn run(args: RunArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let slurm = Slurm::find(&Environment::of_process());
    let scheduler = choose_scheduler(args.scheduler, settings, slurm.is_some())?;
    // Without sbatch there is none to hand a job to; a script can be shown all the same.
    let slurm = slurm.filter(|_| scheduler == Scheduler::Slurm);
    let dry_run = args.dry_run;
    let how = How { no_https: args.no_https, progress: args.progress, ..How::default() };
    let wish = args.wish(scheduler)?;
    let fetch = |reference: &Reference| {
        let images = settings.home_dir.join("images");
        printer.note(&format!("the image {reference} is pulled into {} first", images.display()));
        images::pull(settings, reference, &how, (false, false), printer).map(drop)
    };
    let plan = Plan::of(&wish, settings, &fetch)?;
    printer.findings(&plan.warnings);
    let dir = JobDir::of(&settings.home_dir, &plan.job.service);
    if dry_run {
        let script = launch::script(&plan, &dir)?;
        printer.report(&DryRun { dry_run, reason: plan.reason, script, job: plan.job })?;
        return Ok(Exit::Ok);
    }
    if scheduler == Scheduler::Slurm && slurm.is_none() {
        return Err(SlurmError::Missing { program: "sbatch" }.into());
    }
    launch::check(&plan, slurm.as_ref())?;
    let store = Store::open(&settings.home_dir)?;
    let named = others::refuse_taken_name(&plan.job.name, &store, settings)?;
    if plan.rules.policy.max_services.is_some() {
        launch::check_number(&plan.rules, others::live(&store, settings)?)?;
    }
    // Recorded first: a job that started and is not in the store would be found by nobody.
    let mut record = Record::of_job(&plan.job, &settings.home_dir);
    if !store.insert_if_named(&record, named)? {
        return Err(others::name_taken(&record.name, "being started", &record.name));
    }
    let job_id = launch::start(&plan, &wish, &dir, slurm.as_ref()).inspect_err(|_| {
        if !dir.path().exists() {
            let _ = store.delete(&record.id); // refused before anything was made: nothing to show
        }
    })?;
    store.set_job_id(&record.id, &job_id)?;
    record.job_id = Some(job_id);
    if let Some(tier) = &plan.job.tier {
        let partition = tier.partition.as_ref().map(|partition| format!("{partition}.")).unwrap_or_default();
        printer.note(&format!("tier {partition}{}: {}", tier.name, plan.reason));
    }
    let scene = Scene::of(&settings.home_dir);
    let (view, _) = block_on(ServiceView::of(record, &store, &scene, false))?;
    let begun = match scheduler {
        Scheduler::Local => format!("started {}", view.name),
        Scheduler::Slurm => format!("handed {} to Slurm", view.name),
    };
    let limit = plan.job.time_limit.map(|limit| format!(", for {} min at most", limit.div_ceil(60)));
    let begun = format!("{begun}{}", limit.unwrap_or_default());
    printer.note(&format!("{begun}; `bf-user wait {}` waits until it answers", view.short_id()));
    printer.report(&Started(view))?;
    Ok(Exit::Ok)
}

/// Who runs it: whom the user names, else the profile, else Slurm where there is one, since a login node is not for services.
fn choose_scheduler(
    asked: Option<Scheduler>,
    settings: &Settings,
    has_slurm: bool,
) -> Result<Scheduler, Failure> {
    if let Some(asked) = asked {
        return Ok(asked);
    }
    match &settings.profile {
        Some(profile) if profile.schema == "slurm" => {
            let host = profile.host.as_deref().unwrap_or("localhost");
            if host != "localhost" {
                let message = format!(
                    "the profile {} is for {host}, and this version starts services only here",
                    profile.name
                );
                return Err(Failure::new(Exit::Failed, "remote_not_supported", message)
                    .with_hint(format!("log in to {host} and run bf-user there")));
            }
            Ok(Scheduler::Slurm)
        }
        Some(profile) if profile.schema == "local" => Ok(Scheduler::Local),
        _ if has_slurm => Ok(Scheduler::Slurm),
        _ => Ok(Scheduler::Local),
    }
}
