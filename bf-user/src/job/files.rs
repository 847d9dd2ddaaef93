//! The JSON files of a job directory. Unknown keys are let be, so that versions can be mixed; new ones have defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bf_core::slurm::JobId;
use serde::{Deserialize, Serialize};

use super::options::{Network, Runtime, SlurmOptions};

/// The version that every file carries.
pub(crate) const SCHEMA: u32 = 1;

/// `job.json`: all that the supervisor needs to know, resolved when the job was made, so that what a site changes
/// afterwards cannot change a job that waits in a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) schema: u32,
    /// Service id, 32 hex digits.
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) engine: Engine,
    pub(crate) model: Model,
    pub(crate) resources: Resources,
    pub(crate) tier: Option<TierName>,
    pub(crate) network: Network,
    /// More arguments for the engine, as the user gave them after `--`.
    pub(crate) arguments: Vec<String>,
    /// Seconds without a request after which the service stops; `None`: never.
    pub(crate) idle_timeout: Option<u64>,
    /// Seconds that the job may run; `None`: as long as the scheduler lets it.
    pub(crate) time_limit: Option<u64>,
    /// Seconds that the engine may take until it is ready before that counts as trouble.
    #[serde(default = "Job::default_grace")]
    pub(crate) grace_period: u64,
    #[serde(default)]
    pub(crate) profile: String,
    #[serde(default)]
    pub(crate) cache_dir: String,
    #[serde(default)]
    pub(crate) scheduler: Scheduler,
    /// What Slurm was asked for besides the resources.
    #[serde(default)]
    pub(crate) slurm: SlurmOptions,
    /// How its site runs containers.
    #[serde(default)]
    pub(crate) runtime: Runtime,
    /// RFC 3339.
    pub(crate) created_at: String,
    /// The bf-user that made the job.
    pub(crate) version: String,
}

impl Job {
    /// Upstream's grace period, in seconds.
    pub(crate) fn default_grace() -> u64 {
        600
    }

    /// A job for tests.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        let text = String::from;
        Self {
            schema: SCHEMA,
            service: text("0123456789abcdef0123456789abcdef"),
            name: text("example"),
            kind: text("text_generation"),
            engine: Engine {
                id: text("engine"),
                version: text("1"),
                native: None,
                image: None,
                command: vec![text("/bin/engine")],
                env: BTreeMap::new(),
                secret_env: BTreeMap::new(),
                health: text("/health"),
                ready_path: text("/ready"),
                ready_body: text("{}"),
                routes: Vec::new(),
            },
            model: Model {
                repo: text("org/name"),
                revision: text("0123456789abcdef0123456789abcdef01234567"),
                snapshot: "/models/name".into(),
                weights: "/models/name/model.gguf".into(),
            },
            resources: Resources { cpus: 4, gpus: 0, memory_gb: 8 },
            tier: None,
            network: Network { address: text("127.0.0.1"), port: 0, ports: None, interface: None },
            arguments: Vec::new(),
            idle_timeout: None,
            time_limit: Some(1800),
            grace_period: 600,
            profile: text("default"),
            cache_dir: text("/shared/cache"),
            scheduler: Scheduler::Slurm,
            slurm: SlurmOptions::default(),
            runtime: Runtime::default(),
            created_at: text("2026-01-01T00:00:00.000Z"),
            version: text("0.1.0"),
        }
    }
}

/// Who decides when and where a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scheduler {
    /// Nobody: it runs on this machine, at once.
    #[default]
    Local,
    /// Slurm.
    Slurm,
}

impl Scheduler {
    /// As in the files and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Slurm => "slurm",
        }
    }
}

/// The engine, as its YAML defines it: templates are rendered in the job, where socket and devices are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Engine {
    pub(crate) id: String,
    pub(crate) version: String,
    /// Folder of the native engine.
    pub(crate) native: Option<PathBuf>,
    /// The image that it runs in; `None`: none.
    #[serde(default)]
    pub(crate) image: Option<EngineImage>,
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    /// Variables whose templates may name the key. Rendered in the job only, never written.
    #[serde(default)]
    pub(crate) secret_env: BTreeMap<String, String>,
    pub(crate) health: String,
    pub(crate) ready_path: String,
    pub(crate) ready_body: String,
    /// `METHOD /path`, those that the proxy lets through.
    pub(crate) routes: Vec<String>,
}

/// A container image, by the immutable file that was found when the job was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EngineImage {
    /// Where it came from, as `ghcr.io/org/name:tag`.
    pub(crate) reference: String,
    /// The SIF file.
    pub(crate) sif: PathBuf,
    /// 12 hex digits that name its content.
    pub(crate) digest: String,
    /// Folders of the image that are appended to its PATH.
    #[serde(default)]
    pub(crate) path: Vec<String>,
    /// More folders that the container sees, as `SOURCE[:TARGET[:OPTIONS]]`.
    #[serde(default)]
    pub(crate) binds: Vec<String>,
}

/// The model that the engine loads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Model {
    pub(crate) repo: String,
    /// Commit.
    pub(crate) revision: String,
    /// Folder of the snapshot.
    pub(crate) snapshot: PathBuf,
    /// The file, or the first file, of the weight set.
    pub(crate) weights: PathBuf,
}

/// What the job may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resources {
    /// Processor cores.
    pub(crate) cpus: u32,
    /// GPUs.
    pub(crate) gpus: u32,
    /// Memory in GB (10^9 bytes for people; Slurm's `G` when asked for).
    pub(crate) memory_gb: u32,
}

/// The tier that the resources were taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TierName {
    pub(crate) partition: Option<String>,
    pub(crate) name: String,
}

/// `endpoint.json`: where the service answers. Written when the port is bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) schema: u32,
    pub(crate) service: String,
    pub(crate) attempt: u32,
    pub(crate) slurm_job: Option<String>,
    pub(crate) host: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) port: u16,
    pub(crate) scheme: String,
    pub(crate) models: Vec<String>,
    pub(crate) written_at: String,
}

/// What the supervisor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Making the work directory, binding the port.
    Preparing,
    /// Fetching an image.
    Pulling,
    /// Starting the engine.
    Starting,
    /// The engine runs and loads the model.
    Loading,
    /// The engine says it is well; a real request is being tried.
    Probing,
    /// The model answers.
    Ready,
    /// Ending.
    Draining,
    /// Over.
    Ended,
}

impl Phase {
    /// As in the files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Pulling => "pulling",
            Self::Starting => "starting",
            Self::Loading => "loading",
            Self::Probing => "probing",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Ended => "ended",
        }
    }
}

/// `state.json`: the heartbeat, every 2 s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) schema: u32,
    pub(crate) attempt: u32,
    /// Counts the heartbeats.
    pub(crate) seq: u64,
    pub(crate) phase: Phase,
    /// RFC 3339, when the phase began.
    pub(crate) since: String,
    /// The phases before this one.
    pub(crate) phases: Vec<PhaseTime>,
    pub(crate) requests: Requests,
    /// RFC 3339, when the time limit ends the job.
    pub(crate) ends_at: Option<String>,
    /// What is wrong with an engine that was ready before; `None` when it is well.
    #[serde(default)]
    pub(crate) trouble: Option<String>,
}

#[cfg(test)]
impl State {
    /// A heartbeat for tests.
    pub(crate) fn example(phase: Phase) -> Self {
        Self {
            schema: SCHEMA,
            attempt: 1,
            seq: 1,
            phase,
            since: bf_core::host::now(),
            phases: Vec::new(),
            requests: Requests::default(),
            ends_at: None,
            trouble: None,
        }
    }
}

/// How long a phase took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PhaseTime {
    pub(crate) name: Phase,
    pub(crate) seconds: f64,
}

/// What passed the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Requests {
    pub(crate) total: u64,
    pub(crate) in_flight: u64,
    /// RFC 3339, the last time that a request began or ended.
    pub(crate) last_at: Option<String>,
}

/// Why a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Somebody stopped it.
    Stopped,
    /// Nobody used it.
    Idle,
    /// Its time was up.
    Walltime,
    /// The GPU's memory was too small.
    GpuOom,
    /// The host's memory was too small.
    HostOom,
    /// The port could not be bound.
    Port,
    /// A file that is needed is not there.
    MissingFile,
    /// The container image is damaged.
    ImageDamaged,
    /// The GPU's driver does not fit.
    Driver,
    /// The engine ended by itself.
    EngineExit,
    /// A signal ended the engine.
    Signal,
    /// None of these.
    #[serde(other)]
    Unknown,
}

/// `end.json`: why a job ended. The first one written stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) schema: u32,
    pub(crate) cause: Cause,
    /// Of the engine.
    pub(crate) exit_code: Option<i32>,
    /// That ended the engine.
    pub(crate) signal: Option<i32>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// The last lines of the engine's log, at most 20.
    pub(crate) last_lines: Vec<String>,
    /// RFC 3339.
    #[serde(default)]
    pub(crate) ended_at: String,
    /// Whether it is more than what a signal looked like: Slurm's own word, where it is another, then does not count.
    #[serde(default = "End::is_sure")]
    pub(crate) sure: bool,
}

impl End {
    /// What older versions wrote is taken as it is.
    fn is_sure() -> bool {
        true
    }

    /// An end that is known by cause and message alone.
    pub(crate) fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            schema: SCHEMA,
            cause,
            exit_code: None,
            signal: None,
            message: message.into(),
            hint: None,
            last_lines: Vec::new(),
            ended_at: bf_core::host::now(),
            sure: true,
        }
    }

    /// Adds what to do about it.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// `work.json`: the engine's folder on the node, so that what a power cut leaves can be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) schema: u32,
    pub(crate) path: PathBuf,
    pub(crate) host: String,
}

/// `slurm.json`: the job of a service that Slurm runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlurmJob {
    pub(crate) schema: u32,
    /// Its number, with `;CLUSTER` on a federation.
    pub(crate) job: JobId,
}

/// `stop.json`: somebody wants the job to end. The supervisor looks for it with each heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StopAsked {
    pub(crate) schema: u32,
    /// RFC 3339.
    pub(crate) asked_at: String,
}

/// `local.json`: the process of a job without a scheduler. A process id alone may have been given to another process
/// since; with its start time, in this boot, it is unique.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocalJob {
    pub(crate) schema: u32,
    pub(crate) pid: i32,
    /// Clock ticks after boot, field 22 of `/proc/<pid>/stat` (proc(5)).
    pub(crate) start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id`
    pub(crate) boot_id: String,
    pub(crate) host: String,
}
