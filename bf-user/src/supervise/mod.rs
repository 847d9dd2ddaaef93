//! What runs inside every job: starts the engine where only it can reach it, answers for it, and says how it ended.
//!
//! Three processes. The *supervisor* (this module) owns the port, the key and the job's files. The *guardian* ([`mod@guard`])
//! owns the engine's processes and ends them when the supervisor is gone. The *tether* ([`mod@tether`]) is what the engine's
//! process is before it becomes the engine. The last two are bf-user, executed again.

mod addresses;
mod container;
mod engine;
mod fate;
mod guard;
mod heartbeat;
mod life;
mod listen;
mod orphans;
mod probe;
mod proxy;
mod reply;
mod routes;
mod slurm;
mod tether;
mod workdir;

pub(crate) use container::runtime;
pub(crate) use guard::guard;
pub(crate) use proxy::CHALLENGE;
pub(crate) use tether::tether;
pub(crate) use workdir::remove_left;

use std::sync::Arc;
use std::time::Duration;

use bf_core::report::{Exit, Failure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::job::{Cause, End, Job, JobDir, Key, LocalJob, Phase, SCHEMA, Scheduler, SlurmJob, Work};
use engine::{Ended, EngineProcess};
use life::{Call, Life};
use workdir::WorkDir;

/// How long an engine may take to end after it was asked to.
const ENGINE_GRACE: Duration = Duration::from_secs(10);
/// As much under Slurm, which kills everything at once when its KillWait is over (30 s, where a site has not made it shorter): by
/// then all must be cleaned up.
const ENGINE_GRACE_OF_SLURM: Duration = Duration::from_secs(3);
/// Slurm signals the engine as well as us. Engines that are told twice may take that for impatience, and end badly.
const ENGINE_HEARD: Duration = Duration::from_secs(2);
/// How long Slurm may take to say why, after all else is done.
const SLURM_ANSWER: Duration = Duration::from_secs(1);

/// What the in-job program exits with: 0 as asked, 4 the engine died, 5 the guardian died, 6 a signal ended the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum JobExit {
    AsAsked = 0,
    EngineDied = 4,
    GuardianDied = 5,
    EngineKilled = 6,
}

/// Runs a job to its end. What goes wrong is in `end.json` by then; an error is returned only where not even that could be.
pub(crate) fn run(dir: &JobDir) -> Result<u8, Failure> {
    let job = dir.job()?;
    if dir.end()?.is_some() {
        return Ok(JobExit::AsAsked as u8); // it was stopped before it started
    }
    if dir.is_asked_to_stop() {
        dir.write_end(&End::new(Cause::Stopped, "stopped before it had started"))?;
        return Ok(JobExit::AsAsked as u8);
    }
    match (job.scheduler, slurm::own_job()) {
        // Whatever the job script did: we are the process to stop.
        (Scheduler::Local, _) => dir.write(
            "local.json",
            &LocalJob::of(i32::try_from(std::process::id()).map_err(std::io::Error::other)?)?,
        )?,
        // Who submitted us may have been killed before it could write this down.
        (Scheduler::Slurm, Some(own)) => dir.write("slurm.json", &SlurmJob { schema: SCHEMA, job: own })?,
        (Scheduler::Slurm, None) => {
            return Err(Failure::new(
                Exit::Usage,
                "not_in_a_job",
                "this is no job of Slurm: SLURM_JOB_ID is not set",
            )
            .with_hint("`bf-user run` starts services"));
        }
    }
    raise_file_limit();
    orphans::adopt()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(supervise(dir, &job));
    // Connections that are still open must not keep the job alive.
    runtime.shutdown_timeout(Duration::from_millis(100));
    let (end, exit) = match outcome {
        Ok(outcome) => outcome,
        Err(failure) => (end_of(&failure), Exit::Failed.code()),
    };
    if !dir.path().is_dir() {
        return Ok(exit); // its folder was removed, which is why it ended
    }
    say(dir, &format!("ended: {}", end.message));
    dir.write_end(&end)?;
    Ok(exit)
}

/// Every connection takes two file descriptors: take as many as the system lets us. Fewer are no reason to fail.
fn raise_file_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// A failure before the engine ran, as an end.
fn end_of(failure: &Failure) -> End {
    let cause = match failure.code {
        "port_in_use" => Cause::Port,
        "file_not_found" | "engine_program_missing" | "apptainer_missing" => Cause::MissingFile,
        "image_damaged" => Cause::ImageDamaged,
        _ => Cause::Unknown,
    };
    End { hint: failure.hint.clone(), ..End::new(cause, failure.message.clone()) }
}

async fn supervise(dir: &JobDir, job: &Job) -> Result<(End, u8), Failure> {
    let mut stop = Stop::new()?;
    let life = Arc::new(Life::new(time_left(job)));
    let heart = heartbeat::start(dir.clone(), Arc::clone(&life))?;
    say(dir, &format!("{} {} for {} with {}", job.name, job.service, job.model.repo, job.engine.id));

    let looks = probe::Looks::new(job)?;
    if let Some(image) = &job.engine.image {
        // A damaged image shows in a sentence here, and else somewhere in Apptainer's log.
        bf_core::image::sif::read(&image.sif).map_err(|error| {
            let message = format!("the image {} is damaged: {error}", image.sif.display());
            Failure::new(Exit::Invalid, "image_damaged", message)
                .with_hint("an administrator mends it with `bf-admin setup`")
        })?;
    }
    let key = Key::read(&dir.key())?;
    let work = WorkDir::create()?;
    dir.write(
        "work.json",
        &Work { schema: SCHEMA, path: work.path().to_owned(), host: bf_core::host::name() },
    )?;
    let listener = listen::bind(job).await?;
    let address = listener.local_addr()?;
    listen::publish(
        dir,
        job,
        &addresses::of_listener(address.ip(), job.network.interface.as_deref())?,
        address.port(),
    )?;
    let proxy = tokio::spawn(proxy::serve(
        listener,
        Arc::new(proxy::Proxy::new(job, key.clone(), address.port(), work.socket(), Arc::clone(&life))),
    ));

    life.enter(Phase::Starting);
    let mut engine = EngineProcess::start(dir, job, &key, &work).await?;
    life.enter(Phase::Loading);
    let grace = Duration::from_secs(job.grace_period);
    let probe = tokio::spawn(probe::run(looks, work.socket(), Arc::clone(&life), grace));

    let orphaned = tokio::spawn(orphans::watch_parent(job.scheduler, Arc::clone(&life)));
    let reason = loop {
        let reason = tokio::select! {
            // Slurm signals all processes of a job at once: the engine may be gone before we know why.
            ended = engine.ended() => match stop.asked_with(job.scheduler).await {
                Some(()) => Reason::Signal,
                None => Reason::Engine(ended),
            },
            () = stop.asked() => Reason::Signal,
            call = life.called() => Reason::Called(call),
            () = life.time_is_up() => Reason::Over(Cause::Walltime),
            () = life.idle_for(job.idle_timeout, grace) => Reason::Over(Cause::Idle),
        };
        // An administrator may have given the job more time.
        if reason == Reason::Over(Cause::Walltime)
            && job.scheduler == Scheduler::Slurm
            && let Some(left) = aside(slurm::more_time).await
        {
            life.extend(left);
            continue;
        }
        break reason;
    };
    orphaned.abort();
    probe.abort();
    life.enter(Phase::Draining);
    let by_slurm = reason == Reason::Signal && job.scheduler == Scheduler::Slurm;
    // Asked at once, while the engine ends: there is little time, and Slurm may be slow.
    let why = by_slurm.then(|| tokio::task::spawn_blocking(slurm::why_stopped));
    if by_slurm {
        let _ = tokio::time::timeout(ENGINE_HEARD, engine.ended()).await;
    }
    // Also after the engine ended by itself: its guardian ends what it left.
    engine.stop(grace_of(job)).await;
    proxy.abort();
    life.enter(Phase::Ended);
    heart.stop().await;
    work.remove()?;
    let exit = match &reason {
        Reason::Engine(ended) => exit_of(ended),
        _ => JobExit::AsAsked as u8,
    };
    let end = match (reason, why) {
        (Reason::Engine(ended), _) => fate::of_engine(dir, job, &ended),
        (Reason::Over(cause), _) => fate::as_asked(cause, job),
        (Reason::Called(Call::Orphaned), _) => End::orphaned(),
        (Reason::Signal, Some(why)) if !dir.is_asked_to_stop() => {
            match tokio::time::timeout(SLURM_ANSWER, why).await {
                Ok(Ok(end)) => end,
                _ => End::signalled(),
            }
        }
        _ => fate::as_asked(Cause::Stopped, job),
    };
    Ok((end, exit))
}

/// Something that takes its time, on a thread of its own.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

/// How long the engine may take to end.
fn grace_of(job: &Job) -> Duration {
    match job.scheduler {
        Scheduler::Local => ENGINE_GRACE,
        Scheduler::Slurm => ENGINE_GRACE_OF_SLURM,
    }
}

/// How long the job may run; `None`: as long as it likes.
fn time_left(job: &Job) -> Option<Duration> {
    match job.scheduler {
        Scheduler::Local => job.time_limit.map(Duration::from_secs),
        Scheduler::Slurm => slurm::time_left(job.time_limit),
    }
}

/// Why the job has to end.
#[derive(Debug, PartialEq, Eq)]
enum Reason {
    /// The engine ended by itself.
    Engine(Ended),
    /// Its own limits.
    Over(Cause),
    /// A signal that asks it to end.
    Signal,
    /// What it learnt otherwise.
    Called(Call),
}

fn exit_of(ended: &Ended) -> u8 {
    match ended {
        Ended::Exit { .. } | Ended::NotStarted { .. } => JobExit::EngineDied as u8,
        Ended::Signal { .. } => JobExit::EngineKilled as u8,
        Ended::GuardianGone => JobExit::GuardianDied as u8,
    }
}

/// One line in the supervisor's log. A full disk must not end a service: what cannot be written is lost.
fn say(dir: &JobDir, text: &str) {
    use std::io::Write;
    if let Ok(mut log) = JobDir::append(&dir.supervisor_log()) {
        let _ = writeln!(log, "{} {text}", bf_core::host::now());
    }
}

/// The signals that ask a job to end.
struct Stop {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Whether one of them arrives together with the end of the engine, where a scheduler signals both.
    async fn asked_with(&mut self, scheduler: Scheduler) -> Option<()> {
        const TOGETHER: Duration = Duration::from_secs(1);
        match scheduler {
            Scheduler::Local => None,
            Scheduler::Slurm => tokio::time::timeout(TOGETHER, self.asked()).await.ok(),
        }
    }

    /// Returns when one of them arrives. A hang-up (the terminal is closed) is no wish to end a service.
    async fn asked(&mut self) {
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
                _ = self.hangup.recv() => {}
            }
        }
    }
}
